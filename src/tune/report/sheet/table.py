"""A sheet's table as spreadsheets save it: with the separator of a country, and headings as somebody typed them."""

import csv
import io

LONGEST = 2**31 - 1
"""Characters of a cell that are read back; the csv module's own limit is less than a long question."""


def read_table(text: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the headings in lower case, and each row that holds anything with its number in a spreadsheet, from 2 on.

    Raises:
        csv.Error: It is no table.
    """
    csv.field_size_limit(LONGEST)
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names = [name.strip().lower() for name in next(lines, [])]
    return names, [(n, dict(zip(names, line, strict=False))) for n, line in enumerate(lines, start=2) if any(line)]
