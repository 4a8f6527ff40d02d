"""What fills the gaps of a pattern: names, words and values of one table, or of two joined ones.

The keys returned here are the vocabulary of every pattern. A pattern whose gaps
are not all among them does not fit the schema.
"""

import calendar
import random

from tune.data.text_to_sql.rows import fresh_labels, rows_of
from tune.data.text_to_sql.tables import Column, Schema, Table, Value, article, plural_of

Slots = dict[str, Value]

YEAR_LENGTH = len("2024")
MONTH_LENGTH = len("2024-05")


def table_slots(schema: Schema, table: Table, rng: random.Random) -> Slots:
    """Return gaps and fillings for questions about one table.

    Values come from the rows: cat_v and label_v from the same row, so that
    conditions on both are met by at least one.
    """
    rows = rows_of(schema)[table.name]
    anchor = rng.choice(rows)
    slots: Slots = {
        "t": table.name,
        "one": table.one,
        "a_one": article(table.one),
        "many": plural_of(table.one),
        "k": rng.choice((2, 3, 4)),
        "n": rng.choice((2, 3, 4)),
    }
    for place, column in enumerate(table.columns):
        values = [row[place] for row in rows]
        slots |= _column_slots(column, values, anchor[place], rng)
    return slots | {"new_label": rng.choice(fresh_labels(schema, table))}


def join_slots(schema: Schema, rng: random.Random) -> Slots:
    """Return gaps and fillings for questions about both tables; the second table's start with p_."""
    child, parent = schema.tables
    slots = table_slots(schema, child, rng)
    slots |= {f"p_{name}": value for name, value in table_slots(schema, parent, rng).items()}
    return slots | {
        "key": child.with_role("key")[0].name,
        "link": schema.link,
        "a": child.name[0],
        "b": parent.name[0],
    }


def _column_slots(column: Column, values: list[Value], anchor: Value, rng: random.Random) -> Slots:
    match column.role:
        case "label":
            return _label_slots(column, str(anchor))
        case "category":
            return _category_slots(column, values, anchor, rng)
        case "measure":
            return _measure_slots(column, values, rng)
        case "date":
            return _date_slots(column, values, str(anchor), rng)
        case "blank":
            return {"blank": column.name, "a_blank": article(column.word), "blank_v": rng.choice(column.pool)}
        case _:
            return {}


def _label_slots(column: Column, anchor: str) -> Slots:
    slots: Slots = {
        "label": column.name,
        "labels": column.plural,
        "label_v": anchor,
        "letter": anchor[0],
    }
    if " " in anchor:
        slots["part"] = anchor.split()[1]
    return slots


def _category_slots(column: Column, values: list[Value], anchor: Value, rng: random.Random) -> Slots:
    others = sorted({str(value) for value in values} - {str(anchor)})
    return {"cat": column.name, "cats": column.plural, "cat_v": anchor, "cat_v2": rng.choice(others)}


def _measure_slots(column: Column, values: list[Value], rng: random.Random) -> Slots:
    low, high = sorted(rng.sample(sorted({value for value in values if isinstance(value, int | float)}), 2))
    slots: Slots = {
        "num": column.name,
        "a_num": article(column.word),
        "nums": column.plural,
        "most": column.most,
        "least": column.least,
        "num_v": rng.choice((low, high)),
        "low": low,
        "high": high,
    }
    if column.adds:
        slots |= {"adds": column.name, "step": rng.choice((2, 3, 5, 10))}
    return slots


def _date_slots(column: Column, values: list[Value], anchor: str, rng: random.Random) -> Slots:
    early, late = sorted(rng.sample(sorted(map(str, values)), 2))
    month = int(anchor[YEAR_LENGTH + 1 : MONTH_LENGTH])
    return {
        "day": column.name,
        "day_v": rng.choice((early, late)),
        "early": early,
        "late": late,
        "year": anchor[:YEAR_LENGTH],
        "month": anchor[:MONTH_LENGTH],
        "month_words": f"{calendar.month_name[month]} {anchor[:YEAR_LENGTH]}",
    }
