"""When two query results are the same.

Numbers compare as numbers, so 1 equals 1.0; text never equals a number; where a
float is involved the last digits may differ, since sums depend on row order.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

Value = None | int | float | str | bytes
Row = tuple[Value, ...]

RELATIVE_TOLERANCE = 1e-6
ABSOLUTE_TOLERANCE = 1e-9
"""Floats this near are equal even around zero, where a relative tolerance is nothing."""


def same_sequence(expected: Sequence[Row], actual: Sequence[Row]) -> bool:
    """Return whether the rows are equal one by one, in order."""
    return len(expected) == len(actual) and all(map(_same_row, expected, actual))


def same_multiset(expected: Sequence[Row], actual: Sequence[Row]) -> bool:
    """Return whether the rows are equal in some order, each as often as in the other."""
    if len(expected) != len(actual):
        return False
    counts, other_counts = Counter(expected), Counter(actual)
    missing = (counts - other_counts).elements()
    return _pair_off(missing, list((other_counts - counts).elements()))


def _pair_off(missing: Iterable[Row], extra: list[Row]) -> bool:
    """Return whether every missing row has its own near equal among the extra ones."""
    for row in missing:
        place = next((i for i, other in enumerate(extra) if _same_row(row, other)), None)
        if place is None:
            return False
        extra.pop(place)
    return not extra


def _same_row(row: Row, other: Row) -> bool:
    return len(row) == len(other) and all(map(_same_value, row, other))


def _same_value(value: Value, other: Value) -> bool:
    if value == other:
        return True
    if not isinstance(value, int | float) or not isinstance(other, int | float):
        return False
    if isinstance(value, int) and isinstance(other, int):
        return False
    return math.isclose(value, other, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
