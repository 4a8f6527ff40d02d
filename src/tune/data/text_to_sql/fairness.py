"""Which drawn rows are fair: every fitting pattern has one right answer there, and lazy queries miss it."""

from collections.abc import Sequence

from tune.data.text_to_sql.tables import Role, Schema, Table, Value

Row = tuple[Value, ...]


def are_fair(schema: Schema, rows: dict[str, tuple[Row, ...]]) -> bool:
    """Return whether questions about these rows tell right queries from lazy ones."""
    if not all(_table_is_fair(table, rows[table.name]) for table in schema.tables):
        return False
    return len(schema.tables) == 1 or _link_is_fair(schema, rows)


def _table_is_fair(table: Table, rows: tuple[Row, ...]) -> bool:
    """Return whether the first row is never the highest, latest or most common, and a threshold parts categories."""
    measures, dates = _numbers(_values(table, rows, "measure")), _values(table, rows, "date")
    categories = _values(table, rows, "category")
    if measures and not _starts_ordinary(measures):
        return False
    if dates and dates[0] in {min(map(str, dates)), max(map(str, dates))}:
        return False
    if min(map(str, categories)) == max(categories, key=categories.count):
        return False
    lowest_first = [-number for number in measures]
    return not measures or (_threshold_tells(categories, measures) and _threshold_tells(categories, lowest_first))


def _starts_ordinary(measures: list[float]) -> bool:
    """Return whether the first two rows are no answer to "the highest", "the second highest" or "the lowest"."""
    ranked = sorted(measures)
    return measures[0] not in {ranked[0], ranked[-1]} and measures[1] != ranked[-2]


def _threshold_tells(groups: Sequence[Value], numbers: Sequence[float]) -> bool:
    """Return whether above some number a group is gone and another still comes twice, so that DISTINCT matters."""
    for threshold in numbers:
        kept = [group for group, number in zip(groups, numbers, strict=True) if number > threshold]
        if len(set(kept)) < len(kept) and set(kept) != set(groups):
            return True
    return False


def _link_is_fair(schema: Schema, rows: dict[str, tuple[Row, ...]]) -> bool:
    """Return whether the key leads to every category of the second table, and elsewhere from the top row.

    With an unused category, "per country of the author" would have two fair
    answers, with that country and without.
    """
    main, second = schema.tables
    keys = _values(main, rows[main.name], "key")
    measures = _numbers(_values(main, rows[main.name], "measure"))
    ids, categories = (_values(second, rows[second.name], role) for role in ("id", "category"))
    category_of = dict(zip(ids, categories, strict=True))
    return (
        {category_of[key] for key in keys} == set(categories)
        and keys[0] != keys[measures.index(max(measures))]
        and _threshold_tells(keys, measures)
    )


def _values(table: Table, rows: tuple[Row, ...], role: Role) -> list[Value]:
    """Return the values of the table's first column with this role, or none."""
    places = [place for place, column in enumerate(table.columns) if column.role == role]
    return [row[places[0]] for row in rows] if places else []


def _numbers(values: list[Value]) -> list[float]:
    return [value for value in values if isinstance(value, int | float)]
