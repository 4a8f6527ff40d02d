"""Rows of files with multiple-choice questions, each checked before it is asked."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from tune.errors import DataError

COLUMNS = ("question", "choice0", "choice1", "choice2", "choice3", "answer")
PROBE_COLUMNS = ("subject", "split", *COLUMNS)
LAYOUT = "dev/SUBJECT_dev.csv and test/SUBJECT_test.csv"
WAYS_OUT = "Set evaluate.mmlu_dir=FOLDER to a folder of MMLU's files, or evaluate=quick for the embedded probe."


def read_rows(file: Path, columns: tuple[str, ...], *, key: str) -> list[dict[str, str]]:
    """Return the checked rows of a CSV file.

    Args:
        file: In UTF-8, with a header.
        columns: What its header must say.
        key: The setting that named it, for what is said of a broken one.

    Raises:
        DataError: It is not UTF-8, no CSV, empty, or has a row that could not be asked or scored.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")  # spreadsheets put a byte order mark before the header
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _broken(file, key, line, f"has a byte that is not UTF-8 (0x{error.object[error.start]:02x})") from error
    rows: list[dict[str, str]] = []
    for line, values in _lines(file, text, key):
        if line == 1 and tuple(values) != columns:
            says = f"has the columns {','.join(values)!r} where {','.join(columns)!r} must stand in its first line"
            raise _broken(file, key, line, says)
        if len(values) != len(columns):
            raise _broken(file, key, line, f"has {len(values)} fields where {len(columns)} must stand")
        if line > 1:
            rows.append(dict(zip(columns, values, strict=True)))
            _check(rows[-1], file, key, line)
    if not rows:
        raise _broken(file, key, 1, "holds no question: a header and at least one row must stand there")
    return rows


def _lines(file: Path, text: str, key: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each record and the line that it begins on, from 1; blank lines are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for values in reader:
            if values:
                yield line, values
            line = reader.line_num + 1
    except csv.Error as error:
        raise _broken(file, key, line, f"is not CSV ({error})") from error


def _check(row: Mapping[str, str], file: Path, key: str, line: int) -> None:
    """Refuse a row that could not be asked or scored."""
    if row["answer"] not in {"0", "1", "2", "3"}:
        raise _broken(file, key, line, f"has the answer {row['answer']!r} where 0, 1, 2 or 3 must stand")
    if row.get("split", "test") not in {"dev", "test"}:
        raise _broken(file, key, line, f"has the split {row['split']!r} where dev or test must stand")
    empty = [column for column, value in row.items() if not value.strip()]
    if empty:
        raise _broken(file, key, line, f"has an empty {empty[0]} where text must stand")


def _broken(file: Path, key: str, line: int, says: str) -> DataError:
    return DataError(f"{key}: {file}, line {line}, {says}. Mend or fetch the file again. {WAYS_OUT}")
