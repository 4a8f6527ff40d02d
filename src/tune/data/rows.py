"""Rows out of JSON: one object a line, or a list of objects."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from tune.data.text import MAX_ROW, empty, numbered_lines, opening_bytes, too_long, whole_text
from tune.errors import DataError

Values = dict[str, Any]
"""What each key (or column) of a row holds."""

_MAX_NAMES = 12
_MAX_NAME = 40

_TYPES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}

_SPACE = (" ", "\t", "\n", "\r")


class Row(NamedTuple):
    """One row and where it stands."""

    number: int
    """Line or row, counted from 1; unique in its file."""

    place: str
    """For a person: line 12, or row 3 (line 40)."""

    values: Values


class BadRow(ValueError):  # noqa: N818 - a state of the row; who knows the file makes the error of it
    """A row cannot be used; the text goes on after its place, as in: has no answer."""


def json_lines(file: Path) -> Iterator[Row]:
    """Yield the object of every line that is not blank.

    Raises:
        DataError: The file cannot be read, is empty or not UTF-8, or a line is no JSON object.
    """
    number = 0
    for number, line in _written_lines(file):
        place = f"line {number}"
        try:
            values = _JSON.decode(line.rstrip("\r\n"))
        except (ValueError, RecursionError) as error:
            msg = (
                f"{file} {place} is not JSON ({_why(error)}). Each line must be one JSON object; mend or remove it. "
                "(Objects over several lines must be a list, in a file that ends in .json.)"
            )
            raise DataError(msg) from error
        yield Row(number, place, _as_object(file, place, values))
    if not number:
        raise empty(file)


def json_rows(file: Path) -> Iterator[Row]:
    """Yield the objects of a .json file, which is a list of objects or holds one object a line.

    Raises:
        DataError: The file cannot be read, is empty or not UTF-8, is not JSON, or holds something else than objects.
    """
    if not opening_bytes(file).startswith(b"["):
        yield from json_lines(file)
        return
    number = 0
    for number, (line, values) in enumerate(_elements(file, whole_text(file)), start=1):
        place = f"row {number} (line {line})"
        yield Row(number, place, _as_object(file, place, values))
    if not number:
        raise empty(file)


def inside(folder: str | None, name: str) -> Path:
    """Return a file of a data folder.

    Raises:
        DataError: The folder or the file is not there.
    """
    assert folder is not None  # config.rules has asked for it
    file = Path(os.path.expanduser(folder)) / name  # noqa: PTH111 - Path.expanduser raises for a user nobody knows
    if not file.is_file():
        msg = f"data.path={folder} holds no {name}: expected {file}. Give the folder that has it."
        raise DataError(msg)
    return file


def type_of(value: object) -> str:
    """Return what a value is, in the words of JSON: a list, null."""
    return _TYPES.get(type(value), f"a {type(value).__name__}")


def list_of(names: Iterable[object]) -> str:
    """Return names on one line, which may be anything that a file holds: long ones and long lists are cut."""
    shown = [name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…" for name in (repr(n)[1:-1] for n in names)]
    more = f" and {len(shown) - _MAX_NAMES} more" if len(shown) > _MAX_NAMES else ""
    return ", ".join(shown[:_MAX_NAMES]) + more


def _written_lines(file: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in numbered_lines(file) if not line.isspace())


def _elements(file: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of each element of a list, decoded one by one so that the list is never held as a whole."""
    line, counted = 1, 0
    place = _after_space(text, _after_space(text, 0) + 1)
    while text[place : place + 1] != "]":
        line, counted = line + text.count("\n", counted, place), place
        try:
            value, end = _JSON.raw_decode(text, place)
            place = _after_element(text, _after_space(text, end))
        except (ValueError, RecursionError) as error:
            where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else f"row from line {line} on"
            msg = f"{file} {where} is not JSON ({_why(error)}). The file must be one list of objects; mend the line."
            raise DataError(msg) from error
        if end - counted > MAX_ROW:
            raise too_long(file, line, len(text[counted:end].encode()))
        yield line, value
    if text[place + 1 :].strip():
        line += text.count("\n", counted, place)
        msg = f"{file} line {line} ends the list, but more follows. The file must be one list of objects; mend it."
        raise DataError(msg)


def _after_element(text: str, place: int) -> int:
    """Return where the next element or the end of the list stands; `place` is just after an element."""
    if text[place : place + 1] == "]":
        return place
    if text[place : place + 1] != ",":
        msg = "Expecting ',' or ']'"
        raise json.JSONDecodeError(msg, text, place)
    following = _after_space(text, place + 1)
    if text[following : following + 1] == "]":
        msg = "no row after the comma"
        raise json.JSONDecodeError(msg, text, place)
    return following


def _after_space(text: str, place: int) -> int:
    """Return where the next character stands that is no white space of JSON."""
    while text[place : place + 1] in _SPACE:
        place += 1
    return place


def _as_object(file: Path, place: str, values: Any) -> Values:
    if not isinstance(values, dict):
        kind = type_of(values).rpartition(" ")[2]
        msg = f"{file} {place} is a JSON {kind}, not an object. Each row must be one object with its keys; mend it."
        raise DataError(msg)
    return values


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _no_number(word: str) -> NoReturn:
    msg = f"{word} is no number in JSON; write null"
    raise ValueError(msg)


_JSON = json.JSONDecoder(parse_constant=_no_number)
