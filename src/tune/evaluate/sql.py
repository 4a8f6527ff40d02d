"""Whether a predicted SQL statement does what the right one does, found by running both.

Text tells little: many queries are right. So each statement runs in its own
fresh in-memory database, and what it returns (or, for a write, what it leaves
in the tables) is compared. A predicted statement is untrusted: it may read and,
where the right answer writes, change rows, and nothing else; time, steps, rows
and value sizes are bounded.
"""

import functools
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tune.errors import EvaluationError
from tune.evaluate.sql_rows import same_multiset, same_sequence
from tune.evaluate.sql_sandbox import Effect, Stopped, run_alone

Reason = Literal["match", "different_result", "error", "timeout", "empty", "refused"]

GOLD_LIMIT_S = 10.0
"""The right statement may take longer, so that a busy machine never turns it into a failure."""

MAX_ROWS = 10_000
"""Rows that a right answer may return."""

N_GOLD_KEPT = 4096
"""Right answers whose effect is remembered: an evaluation asks for each again and again."""

_FENCE = re.compile(r"```[ \t]*(?:sql(?:ite)?3?\b)?(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_LABEL = re.compile(r"\s*(?:sql(?:ite)?\s*:\s*)+", re.IGNORECASE)
_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]"""
_COMMENT = r"--[^\n]*|/\*.*?\*/"
_END = re.compile(rf"(?:{_QUOTED}|{_COMMENT})|(?P<end>;|\n[ \t\r]*\n)", re.DOTALL)
_TOKEN = re.compile(
    rf"(?:{_COMMENT})|(?P<quoted>{_QUOTED})|(?P<other>\d+(?:\.\d+)?|\w+|<=|>=|<>|!=|==|\|\||[^\w\s])", re.DOTALL
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SqlScore:
    """Whether a predicted statement is right, and why not."""

    match: bool
    reason: Reason
    detail: str
    """In words, for a person who reads failures."""


def score_sql(predicted: str, *, setup: str, gold: str, ordered: bool, limit_s: float = 1.0) -> SqlScore:
    """Return whether the predicted statement has the effect of the right one.

    Columns are compared by position, rows as a multiset unless `ordered`; 1 and
    1.0 are the same, '1' and 1 are not, floats may differ by a millionth.

    Args:
        predicted: One statement, already cleaned of fences and talk.
        setup: SQL script that makes the database.
        gold: The right statement.
        ordered: Whether the order of rows counts.
        limit_s: Seconds the predicted statement may take.

    Raises:
        EvaluationError: The setup or the right statement does not run.
    """
    expected = _gold_effect(setup, gold)
    if not _tokens(predicted):
        return SqlScore(match=False, reason="empty", detail="there is no statement")
    try:
        # One row too many is enough to know that the result differs.
        actual = run_alone(
            predicted, setup=setup, may_write=expected.wrote, max_rows=len(expected.rows) + 1, limit_s=limit_s
        )
    except Stopped as stopped:
        return SqlScore(match=False, reason=stopped.reason, detail=stopped.detail)
    difference = _difference(expected, actual, ordered=ordered)
    return SqlScore(match=not difference, reason="different_result" if difference else "match", detail=difference)


def clean_sql(text: str) -> str:
    """Return the first SQL statement of a model's reply, without fence, label, semicolon or what follows.

    A blank line ends it too, but not in a fence, where nothing but SQL is expected.
    """
    fence = _FENCE.search(text)
    statement = (fence.group(1) if fence else text).strip()
    label = _LABEL.match(statement)
    statement = statement[label.end() :] if label else statement
    for found in _END.finditer(statement):
        if found.group("end") == ";" or (found.group("end") and not fence):
            statement = statement[: found.start()]
            break
    return statement.strip()


def exact_match(predicted: str, gold: str) -> bool:
    """Return whether two statements are the same but for white space, comments and case outside quotes."""
    return _tokens(predicted) == _tokens(gold)


def _tokens(statement: str) -> list[str]:
    found = (match.groupdict() for match in _TOKEN.finditer(statement))
    tokens = [groups["quoted"] or (groups["other"] or "").lower() for groups in found]
    return [token for token in tokens if token]


@functools.lru_cache(maxsize=N_GOLD_KEPT)
def _gold_effect(setup: str, gold: str) -> Effect:
    try:
        effect = run_alone(gold, setup=setup, may_write=True, max_rows=MAX_ROWS + 1, limit_s=GOLD_LIMIT_S)
    except (Stopped, sqlite3.Error) as error:
        msg = f"the right answer {gold!r} does not run on its own database: {error}. Mend the data set."
        raise EvaluationError(msg) from error
    if len(effect.rows) > MAX_ROWS:
        msg = f"the right answer {gold!r} returns more than {MAX_ROWS} rows. Ask for fewer with LIMIT."
        raise EvaluationError(msg)
    return effect


def _difference(expected: Effect, actual: Effect, *, ordered: bool) -> str:
    """Return how the effects differ, in words, or nothing when they are the same."""
    if expected.wrote:
        return _table_difference(expected, actual)
    if len(actual.rows) != len(expected.rows):
        shown = f"more than {len(expected.rows)}" if len(actual.rows) > len(expected.rows) else str(len(actual.rows))
        return f"{shown} rows instead of {len(expected.rows)}"
    if same_sequence(expected.rows, actual.rows) if ordered else same_multiset(expected.rows, actual.rows):
        return ""
    if ordered and same_multiset(expected.rows, actual.rows):
        return "the right rows in another order"
    return f"other values: expected {_shown(expected.rows)}, got {_shown(actual.rows)}"


def _table_difference(expected: Effect, actual: Effect) -> str:
    if not actual.wrote:
        return "nothing was written"
    different = [name for name, rows in expected.tables.items() if not same_multiset(rows, actual.tables.get(name, ()))]
    return f"other rows are left in {', '.join(different)}" if different else ""


def _shown(rows: Sequence[tuple[object, ...]]) -> str:
    text = repr(rows[0]) if rows else "nothing"
    most = 80  # characters
    return text if len(text) <= most else f"{text[:most]}…"
