"""Votes as raters sent them back: the sheet's table with its column filled, or the file that the page saved.

A file may be partly filled in. Whatever is wrong in any file is said at once, and then nothing is counted.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tune.errors import EvaluationError
from tune.report.sheet.key import Key
from tune.report.sheet.table import read_table


class Choice(StrEnum):
    """What a rater says of two replies."""

    a = "A"
    b = "B"
    tie = "tie"
    both_bad = "both bad"


_WORDS = {choice.lower(): choice for choice in Choice} | {"a better": Choice.a, "b better": Choice.b}
_ID = re.compile(r"s([0-9a-f]{8})-\d+")
_MOST_SHOWN = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Ballot:
    """One rater's votes on one sheet."""

    rater: str
    """The name that the page was given, else the file's."""

    votes: Mapping[str, Choice]
    """By id on the sheet; items without a vote are not in it."""

    comments: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    where: str
    id: str
    vote: str
    comment: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sent:
    file: Path
    rater: str
    sheet: str
    rows: Sequence[_Row]


def read_ballots(files: Sequence[Path], keys: Mapping[str, tuple[Key, Path]]) -> tuple[list[Ballot], tuple[Key, Path]]:
    """Return a ballot a file, and the key of their sheet with its trial's folder.

    Args:
        files: CSV or JSON, one a rater.
        keys: The study's, by the digest of their sheet.

    Raises:
        EvaluationError: A file cannot be read, is of another sheet, or holds unknown ids, double votes or unknown
            words; or two files are one rater's.
    """
    wrong: list[str] = []
    sent = [one for file in files if (one := _sent(file, wrong))]
    wrong += _other_sheets(sent, keys)
    if not wrong:
        key = keys[sent[0].sheet]
        wrong += [line for one in sent for line in _bad_rows(one, key[0])]
    wrong += _twice(sent)
    if wrong:
        more = f" And {len(wrong) - _MOST_SHOWN} more." if len(wrong) > _MOST_SHOWN else ""
        msg = f"the votes were not counted: {' '.join(wrong[:_MOST_SHOWN])}{more}"
        raise EvaluationError(msg)
    return [_ballot(one) for one in sent], key


def _sent(file: Path, wrong: list[str]) -> _Sent | None:
    """Return what a file holds; what is wrong with it is added to `wrong`."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        wrong.append(f"{file} cannot be read ({error.strerror}).")
        return None
    except UnicodeDecodeError:
        wrong.append(f"{file} is no UTF-8 text: save it as CSV UTF-8.")
        return None
    try:
        return _from_json(file, text) if text.lstrip().startswith("{") else _from_table(file, text)
    except (ValueError, csv.Error) as error:
        wrong.append(f"{file} is no file of votes: {str(error).rstrip('.')}.")
        return None


def _from_json(file: Path, text: str) -> _Sent:
    plain: Any = json.loads(text)
    votes, rater, sheet = plain.get("votes"), plain.get("rater", ""), plain.get("sheet")
    if not isinstance(votes, list) or not isinstance(rater, str) or not isinstance(sheet, str):
        msg = "it lacks votes (a list), rater or sheet (texts); the page's button writes them"
        raise ValueError(msg)  # noqa: TRY004 - of the file's content
    if not all(isinstance(one, dict) for one in votes):
        msg = "a vote must be an object with id and vote"
        raise ValueError(msg)
    rows = [
        _Row(where=f"vote {n}", **{name: str(one.get(name) or "").strip() for name in ("id", "vote", "comment")})
        for n, one in enumerate(votes, start=1)
    ]
    return _Sent(file=file, rater=rater.strip() or str(file), sheet=sheet, rows=rows)


def _from_table(file: Path, text: str) -> _Sent:
    names, lines = read_table(text)
    if "id" not in names or "vote" not in names:
        msg = f"its first line needs the columns id and vote, and has {', '.join(names) or 'none'}"
        raise ValueError(msg)
    rows = [_row(line, number) for number, line in lines]
    sheets = Counter(found.group(1) for row in rows if (found := _ID.fullmatch(row.id)))
    if not sheets:
        msg = "no id in it is that of a sheet"
        raise ValueError(msg)
    return _Sent(file=file, rater=str(file), sheet=sheets.most_common(1)[0][0], rows=rows)


def _row(line: Mapping[str, str], number: int) -> _Row:
    return _Row(where=f"row {number}", **{name: line.get(name, "").strip() for name in ("id", "vote", "comment")})


def _other_sheets(sent: Sequence[_Sent], keys: Mapping[str, tuple[Key, Path]]) -> Iterator[str]:
    """Yield what files are of no sheet of this study, or not of the first one's."""
    known = f"This study has {', '.join(sorted(keys))}." if keys else "This study has none: make one with `sheet`."
    for one in sent:
        if one.sheet not in keys:
            yield f"{one.file} is of another sheet, {one.sheet}. {known}"
        elif one.sheet != sent[0].sheet and sent[0].sheet in keys:
            yield (
                f"{one.file} is of the sheet {one.sheet} and {sent[0].file} of {sent[0].sheet}: read each sheet by "
                "itself."
            )


def _bad_rows(sent: _Sent, key: Key) -> Iterator[str]:
    seen: set[str] = set()
    for row in sent.rows:
        if row.id not in key.items:
            yield f"{sent.file}, {row.where}: {row.id or 'an empty id'} is no id of the sheet."
        elif row.id in seen:
            yield f"{sent.file}, {row.where}: {row.id} was voted on before in this file; keep one of the two."
        elif row.vote and row.vote.lower() not in _WORDS:
            yield f"{sent.file}, {row.where} ({row.id}): {row.vote} is no vote; write {', '.join(Choice)}, or nothing."
        seen.add(row.id)
    if not any(row.vote for row in sent.rows):
        yield f"{sent.file} holds no vote: leave it out, or fill it in."


def _twice(sent: Sequence[_Sent]) -> Iterator[str]:
    by_rater: dict[str, Path] = {}
    for one in sent:
        if one.rater in by_rater:
            yield f"{by_rater[one.rater]} and {one.file} are both of the rater {one.rater}: give one of them."
        by_rater.setdefault(one.rater, one.file)


def _ballot(sent: _Sent) -> Ballot:
    return Ballot(
        rater=sent.rater,
        votes={row.id: _WORDS[row.vote.lower()] for row in sent.rows if row.vote},
        comments={row.id: row.comment for row in sent.rows if row.comment},
    )
