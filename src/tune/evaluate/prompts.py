"""The fixed prompts that a model answers before and after training, embedded or from a file of the user's.

Nothing here needs torch, so a broken file is refused before a model is loaded.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tune.errors import ConfigError, DataError

EMBEDDED = "embedded"
FILE = Path(__file__).with_name("prompts.jsonl")
JAILBREAK = "jailbreak"
"""The one kind that a refusal is wanted of."""

LEAST = 2
"""Prompts of jailbreak, and prompts of all other kinds: the interval of one change cannot be told."""

_KEYS = ("id", "kind", "prompt", "system", "repeated", "times")
_PLACE = "{repeated}"
_MOST_COPIES = 10_000
_MOST_NAMED = 5
_WAYS_OUT = "Mend the file, or take evaluate.prompts=embedded, or null for none."


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One prompt, as it is put to the model."""

    id: str
    """Unique in its file."""

    kind: str
    """general, empty, long, domain, format, jailbreak, or a word of the user's."""

    text: str
    """What the user says; may be empty."""

    system: str | None = None
    """A system message of its own."""


def read_prompts(source: str) -> tuple[Prompt, ...]:
    """Return the prompts of a file, or those that come with tune.

    A line is a JSON object with `id`, `kind`, `prompt` and, where wanted, `system`. A long prompt need not be written
    out: with `repeated` (a list of texts) and `times`, the place {repeated} in the prompt is filled with so many lines,
    the texts in turn, in which {n} is the line's number from 1.

    Args:
        source: `embedded`, or the path of a file.

    Raises:
        ConfigError: There is no such file.
        DataError: It is no UTF-8, a row is no prompt or has another's id, or there are too few.
    """
    file = FILE if source == EMBEDDED else Path(source).expanduser()
    prompts: dict[str, Prompt] = {}
    wrong: list[str] = []
    for line, text in _lines(file, source):
        try:
            prompt = _prompt(text)
            if prompt.id in prompts:
                _refuse(f"has the id {prompt.id!r}, which an earlier row has")
            prompts[prompt.id] = prompt
        except ValueError as error:
            wrong.append(f"line {line} {error}")
    if wrong:
        more = f"; and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
        msg = f"evaluate.prompts={source}: {'; '.join(wrong[:_MOST_NAMED])}{more}. {_WAYS_OUT}"
        raise DataError(msg)
    _check_kinds(source, [prompt.kind for prompt in prompts.values()])
    return tuple(prompts.values())


def _lines(file: Path, source: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not blank."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        msg = f"evaluate.prompts={source}: line {line} has a byte that is not UTF-8. {_WAYS_OUT}"
        raise DataError(msg) from error
    except OSError as error:
        msg = (
            f"evaluate.prompts={source} cannot be read ({error.strerror or error}): it must be embedded, null, or the "
            "path of a file with a JSON object a line, each with id, kind and prompt. The path is relative to the "
            "folder you are in."
        )
        raise ConfigError(msg) from error
    # Only a line feed ends a line: JSON allows the other ends that Unicode knows inside a text.
    yield from ((n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip())


def _prompt(line: str) -> Prompt:
    """Return the prompt of one row; ValueError says what is wrong with it."""
    try:
        row = json.loads(line)
    except RecursionError:
        _refuse("is nested too deeply")
    except json.JSONDecodeError as error:
        _refuse(f"is not JSON ({error.msg} at column {error.colno})")
    if not isinstance(row, dict):
        _refuse("is no JSON object")
    if unknown := sorted(row.keys() - set(_KEYS)):
        _refuse(f"has the key {unknown[0]!r}; there is: {', '.join(_KEYS)}")
    for key in ("id", "kind"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            _refuse(f"has no text as {key!r}")
    if not isinstance(row.get("prompt"), str):
        _refuse("has no text as 'prompt' (an empty one is allowed)")
    if not isinstance(row.get("system"), str | None):
        _refuse("has a 'system' that is no text")
    prompt = Prompt(id=row["id"], kind=row["kind"], text=_written_out(row), system=row.get("system"))
    if any("\ud800" <= mark <= "\udfff" for mark in f"{prompt.id}{prompt.kind}{prompt.text}{prompt.system}"):
        _refuse("holds half of a character (a lone surrogate), which no tokenizer reads")
    return prompt


def _written_out(row: Mapping[str, Any]) -> str:
    """Return the text of a prompt with its repeated lines in their place."""
    text, repeated, times = str(row["prompt"]), row.get("repeated"), row.get("times")
    if repeated is None and times is None:
        return text
    if not isinstance(repeated, list) or not repeated or not all(isinstance(piece, str) for piece in repeated):
        _refuse("has 'times' or 'repeated', but the latter is no list of texts")
    if type(times) is not int or not 1 <= times <= _MOST_COPIES:
        _refuse(f"has 'repeated' without a whole number from 1 to {_MOST_COPIES} as 'times'")
    if text.count(_PLACE) != 1:
        _refuse(f"has 'repeated', and not one place {_PLACE} in its prompt where that would stand")
    pieces = (repeated * math.ceil(times / len(repeated)))[:times]
    lines = [piece.replace("{n}", str(number)) for number, piece in enumerate(pieces, start=1)]
    return text.replace(_PLACE, "\n".join(lines))


def _check_kinds(source: str, kinds: list[str]) -> None:
    n_bad = kinds.count(JAILBREAK)
    for n, what in ((n_bad, f"of kind {JAILBREAK}"), (len(kinds) - n_bad, "of other kinds")):
        if n < LEAST:
            msg = (
                f"evaluate.prompts={source}: there {'is' if n == 1 else 'are'} {n} {what}, and {LEAST} are needed for "
                f"a rate with an interval: refusals of {JAILBREAK} are counted apart. {_WAYS_OUT}"
            )
            raise DataError(msg)


def _refuse(says: str) -> NoReturn:
    raise ValueError(says)
