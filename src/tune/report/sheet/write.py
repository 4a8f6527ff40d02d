"""A blind sheet as files: a table for a spreadsheet, and a page for a browser."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from tune.errors import EvaluationError
from tune.files import write_text
from tune.report.sheet.draw import Item, Sheet
from tune.report.sheet.page import page
from tune.report.sheet.table import read_table

TABLE, PAGE = "sheet.csv", "sheet.html"

_FORMULA = tuple("=+-@\t＝＋－＠")  # noqa: RUF001 - what spreadsheets take for the beginning of a formula
_MARK = "\ufeff"
"""Tells spreadsheets that the text is UTF-8."""


def write_sheet(sheet: Sheet, folder: Path) -> tuple[Path, Path]:
    """Write sheet.csv and sheet.html into a folder and return them.

    Raises:
        EvaluationError: A sheet.csv with votes in it is there, or the folder cannot be written.
    """
    files = folder / TABLE, folder / PAGE
    try:
        if written := _written(files[0]):
            msg = (
                f"{files[0]} holds {written} that would be lost. Read votes with `votes`, move the file away, "
                "or write the new sheet elsewhere with sheet.folder=…"
            )
            raise EvaluationError(msg)
        write_text(files[0], _MARK + table(sheet))
        write_text(files[1], page(sheet))
    except OSError as error:
        msg = f"the sheet cannot be written to {folder} ({error.strerror or error}). Set sheet.folder to another one."
        raise EvaluationError(msg) from error
    return files


def table(sheet: Sheet) -> str:
    """Return the sheet as CSV, its columns vote and comment empty.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, whichever side it stands on.
    """
    has_answer = any(item.answer is not None for item in sheet.items)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "question", *(["right answer"] * has_answer), "reply A", "reply B", "vote", "comment"])
    for item in sheet.items:
        writer.writerow([item.id, *map(_cell, _texts(item)), "", ""])
    return text.getvalue()


def _texts(item: Item) -> Iterator[str]:
    yield item.question
    if item.answer is not None:
        yield item.answer
    yield item.a
    yield item.b


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _written(file: Path) -> str:
    """Return what somebody wrote into a table that is there; nothing where it is as it was made."""
    if not file.is_file():
        return ""
    try:
        _, rows = read_table(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, csv.Error):
        return "something else than a sheet"
    n = sum(any(row.get(name, "").strip() for name in ("vote", "comment")) for _, row in rows)
    return f"{n} votes or comments" if n else ""
