"""Rows out of tables: CSV with a header, and Parquet."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tune.data.rows import Row, list_of
from tune.data.text import MAX_ROW, empty, numbered_lines
from tune.errors import DataError

_BATCH = 1024
"""Rows of a Parquet file that are held as Python objects at once."""


def csv_rows(file: Path, *, delimiter: str = ",") -> Iterator[Row]:
    """Yield the rows of a table whose first line names its columns; a row counts by the line that it starts on.

    Raises:
        DataError: The file cannot be read, is empty or not UTF-8, a column's name stands twice, a row has more or
            fewer fields than the header, or a quotation mark is never closed.
    """
    # The limit is the process's own; it is only ever raised. At 131,072 characters, as it comes, long rows would fail.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW))
    records = _records(file, delimiter)
    _, fields = next(records, (0, []))
    header = [name.strip() for name in fields]
    _check_header(file, header, delimiter)
    number = 0
    for number, fields in records:
        if len(fields) != len(header):
            msg = (
                f"{file} line {number} has {len(fields)} fields, the header has {len(header)} "
                f"({list_of(header)}). Mend the line; a field that holds {delimiter!r} stands in quotation marks."
            )
            raise DataError(msg)
        yield Row(number, f"line {number}", dict(zip(header, fields, strict=True)))
    if not number:
        raise empty(file)


def parquet_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file.

    Raises:
        DataError: The file cannot be read, is damaged, has no row, or a column's name stands twice.
    """
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(file) as table:
            _refuse_twice(file, table.schema_arrow.names)
            yield from arrow_rows(table.iter_batches(batch_size=_BATCH))
            n_rows = table.metadata.num_rows
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        msg = f"{file} cannot be read as Parquet: {why[:300].rstrip('. ')}. Write it again, or give another file."
        raise DataError(msg) from error
    if not n_rows:
        raise empty(file)


def arrow_rows(batches: Iterable[Any]) -> Iterator[Row]:
    """Yield the rows of Arrow tables or batches, counted from 1."""
    number = 0
    for batch in batches:
        for values in batch.to_pylist():
            number += 1
            yield Row(number, f"row {number}", values)


def _records(file: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line that it starts on, fields) of each record; blank lines are none."""
    lines = (line for _, line in numbered_lines(file))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    start = 1
    try:
        for fields in reader:
            if fields:
                yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        msg = (
            f"{file} line {start}: the row that starts here is not CSV ({error}). Close every quotation mark, write "
            "one inside a field twice, and keep each field under 1 MiB."
        )
        raise DataError(msg) from error


def _check_header(file: Path, header: list[str], delimiter: str) -> None:
    if not any(header):
        raise empty(file)
    other = next((mark for mark in ";\t|," if mark != delimiter and mark in header[0]), None)
    if len(header) == 1 and other:
        msg = (
            f"{file} line 1 has the one column '{list_of(header)}': its fields are divided by {other!r}, not "
            f"{delimiter!r}. Save it with commas as .csv, or with tabs as .tsv."
        )
        raise DataError(msg)
    _refuse_twice(file, header)


def _refuse_twice(file: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        msg = f"{file} names a column twice: {list_of(twice)}. Rename or remove one of them."
        raise DataError(msg)
