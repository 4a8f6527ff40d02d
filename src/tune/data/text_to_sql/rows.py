"""The rows a schema's queries run on: few, but chosen so that a wrong query gives a wrong result.

Categories come in different counts, so that "the most common" has one answer.
Measures repeat only in the middle, so that the highest and lowest few are free
of ties while plain equality is not unique. Labels and dates never repeat. Two
rows of the second table are pointed at by nobody.
"""

import datetime as dt
import functools
import random

from tune.data.text_to_sql.fairness import Row, are_fair
from tune.data.text_to_sql.tables import Column, Schema, Table, Value

MAIN_ROWS = 14
SECOND_ROWS = 7
CATEGORY_COUNTS = {MAIN_ROWS: (5, 4, 3, 2), SECOND_ROWS: (4, 2, 1)}
REPEATED_MEASURES = {MAIN_ROWS: 3, SECOND_ROWS: 1}
FIRST_DAY = dt.date(2021, 1, 1)
N_DAYS = 4 * 365
BLANK_EVERY = 3
"""Every third value of a blank column is NULL."""


@functools.cache
def rows_of(schema: Schema) -> dict[str, tuple[Row, ...]]:
    """Return each table's rows, the same on every call and machine; the first drawn that are fair."""
    rng = random.Random(f"rows of {schema.name}")  # noqa: S311 - repeatable rows, no secrets
    while True:
        rows = _draw_rows(schema, rng)
        if are_fair(schema, rows):
            return rows


def _draw_rows(schema: Schema, rng: random.Random) -> dict[str, tuple[Row, ...]]:
    return {
        table.name: tuple(zip(*(_values(column, size, rng) for column in table.columns), strict=True))
        for table, size in zip(schema.tables, (MAIN_ROWS, SECOND_ROWS), strict=False)
    }


@functools.cache
def fresh_labels(schema: Schema, table: Table) -> tuple[str, ...]:
    """Return labels of the table's pool that no row has, for rows yet to be inserted."""
    column = table.with_role("label")[0]
    place = table.columns.index(column)
    taken = {row[place] for row in rows_of(schema)[table.name]}
    return tuple(value for value in column.pool if value not in taken)


@functools.cache
def setup_script(schema: Schema, *, backwards: bool = False) -> str:
    """Return SQL that creates and fills the schema's tables.

    Args:
        schema: What to create.
        backwards: Insert the rows last to first, which must not change what a good question asks for.
    """
    lines = []
    for table in schema.tables:
        columns = ", ".join(f"{column.name} {_sql_type(column)}" for column in table.columns)
        rows = rows_of(schema)[table.name]
        ordered = reversed(rows) if backwards else rows
        lines.append(f"CREATE TABLE {table.name} ({columns});")
        values = ",\n".join(f"({', '.join(map(quoted, row))})" for row in ordered)
        lines.append(f"INSERT INTO {table.name} VALUES\n{values};")
    return "\n".join(lines)


def quoted(value: Value) -> str:
    """Return the value as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        assert "'" not in value
        return f"'{value}'"
    return str(value)


def _sql_type(column: Column) -> str:
    if column.role == "id":
        return "INTEGER PRIMARY KEY"
    if column.role == "measure":
        return "INTEGER" if isinstance(column.step, int) else "REAL"
    return "INTEGER" if column.role == "key" else "TEXT"


def _values(column: Column, size: int, rng: random.Random) -> list[Value]:
    if column.role == "id":
        return list(range(1, size + 1))
    values = _unordered_values(column, size, rng)
    rng.shuffle(values)
    return values


def _unordered_values(column: Column, size: int, rng: random.Random) -> list[Value]:
    match column.role:
        case "label":
            return list(rng.sample(column.pool, size))
        case "category":
            pool = rng.sample(column.pool, len(column.pool))
            counts = zip(pool, CATEGORY_COUNTS[size], strict=True)
            return [value for value, count in counts for _ in range(count)]
        case "measure":
            return _measures(column, size, rng)
        case "date":
            days = rng.sample(range(N_DAYS), size)
            return [(FIRST_DAY + dt.timedelta(days=day)).isoformat() for day in days]
        case "blank":
            return [None if i % BLANK_EVERY == 0 else rng.choice(column.pool) for i in range(size)]
        case _:  # key: every parent but the last two at least once
            used = rng.sample(range(1, SECOND_ROWS + 1), SECOND_ROWS - 2)
            return [*used, *rng.choices(used, weights=range(1, len(used) + 1), k=size - len(used))]


def _measures(column: Column, size: int, rng: random.Random) -> list[Value]:
    repeated = REPEATED_MEASURES[size]
    n_steps = round((column.high - column.low) / column.step)
    steps = sorted(rng.sample(range(n_steps), size - repeated))
    middle = len(steps) // 2
    steps += [steps[middle + i // 2] for i in range(repeated)]
    return [round(column.low + step * column.step, 1) for step in steps]
