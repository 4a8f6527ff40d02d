"""The same chats written in every layout and kind of file, for the tests of reading."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tune.config.data import ColumnsConfig, Layout
from tune.data.source import Source, read_rows
from tune.errors import DataError
from tune.examples import Example

PAIRS = [("What is 2 + 2?", "4"), ('Say "hi", please', "hi,\nthen"), ("Größe\u2028?", "日本 🙂"), ("Nothing?", "")]
"""Question and answer: with commas, quotation marks, line ends inside, other scripts, and an empty answer."""


def lines(file: Path, rows: Iterable[object]) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)
    file.write_bytes(text.encode())
    return file


def as_csv(file: Path, rows: list[dict[str, str]], *, delimiter: str = ",") -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return file


def as_parquet(file: Path, rows: list[dict[str, object]]) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file


def chat(*turns: tuple[str, str], role: str = "role", content: str = "content") -> list[dict[str, str]]:
    return [{role: who, content: what} for who, what in turns]


def read(file: Path, *, layout: Layout = Layout.auto, **columns: str) -> Source:
    return read_rows(file, layout, ColumnsConfig(**columns))


def content(examples: Iterable[Example]) -> list[tuple[list[tuple[str, str]], str]]:
    """What the examples say, without their ids."""
    return [([(turn.role, turn.content) for turn in row.messages], row.answer) for row in examples]


def refusal(file: Path, text: str | bytes) -> str:
    """What is said of a file with this content."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError) as caught:
        read(file)
    said = str(caught.value)
    assert said.startswith(f"{file} ")
    assert "\n" not in said
    return said.removeprefix(f"{file} ")
