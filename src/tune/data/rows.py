"""Rows out of files: JSON lines and CSV, with the file and the line in every complaint."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tune.errors import DataError


def json_lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of every line that is not blank.

    Raises:
        DataError: The file is missing, empty or not UTF-8, or a line is no JSON object.
    """
    empty = True
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        empty = False
        try:
            row = json.loads(line)
        except ValueError as error:
            msg = f"{file} line {number} is not JSON ({error}). Each line must be one JSON object; mend or remove it."
            raise DataError(msg) from error
        if not isinstance(row, dict):
            msg = f"{file} line {number} is a JSON {type(row).__name__}, not an object. Each line must be one object."
            raise DataError(msg)
        yield number, row
    if empty:
        raise DataError(_empty(file))


def csv_rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row) of a CSV file with a header.

    Raises:
        DataError: The file is missing, empty or not UTF-8, or lacks a column or a field.
    """
    reader = csv.DictReader(_text(file).splitlines(keepends=True))
    header = reader.fieldnames or []
    missing = [name for name in columns if name not in header]
    if not header:
        raise DataError(_empty(file))
    if missing:
        msg = f"{file} has no column {', '.join(missing)}; its header is {', '.join(header)}. Rename the columns."
        raise DataError(msg)
    n_rows = 0
    for row in reader:
        if any(row.get(name) is None for name in columns):
            msg = (
                f"{file} line {reader.line_num} has fewer fields than the header ({', '.join(header)}). Mend the line."
            )
            raise DataError(msg)
        n_rows += 1
        yield reader.line_num, row
    if not n_rows:
        raise DataError(_empty(file))


def inside(folder: str | None, name: str) -> Path:
    """Return a file of a data folder.

    Raises:
        DataError: The folder or the file is not there.
    """
    assert folder is not None  # config.rules has asked for it
    file = Path(folder).expanduser() / name
    if not file.is_file():
        msg = f"data.path={folder} holds no {name}: expected {file}. Give the folder that has it."
        raise DataError(msg)
    return file


def _empty(file: Path) -> str:
    return f"{file} is empty: it needs at least one row. Give another data.path."


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        msg = f"data.path={file} does not exist. Give the path of a file; it is relative to the folder you are in."
        raise DataError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        msg = f"data.path={file} cannot be read: {why}. Convert it, or give another file."
        raise DataError(msg) from error
