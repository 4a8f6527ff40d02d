"""How many rows of each class are held out, and which."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tune.data.components import Component


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """What a stratum owes to one held-out split."""

    share: float = 0.0
    """Components nearer than this to the split's end of the positions belong to it."""

    least: int = 0
    """Rows that it gets even where fewer stand there; 0 where the split is not asked for."""

    most: int = 0
    """Rows after which no further component is taken."""

    about: float = 0.0
    """Rows that it should hold; a component that is larger is not held out where there are smaller ones."""


def of_share(share: float, n_rows: int, *, within_one: bool) -> Want:
    """Return what a stratum owes to a split that is a share of the rows: one row in any case.

    Args:
        share: Above 0, below 1.
        n_rows: Rows of the stratum.
        within_one: Whether the number may differ from the share of the stratum by one at most.
    """
    about = round(share * n_rows, 6)  # 0.1 * 30 is a little more than 3
    low, high = (math.ceil(about - 1), math.floor(about + 1)) if within_one else (0, n_rows)
    return Want(share=share, least=max(1, low), most=max(1, high), about=about)


def of_count(count: int) -> Want:
    """Return what a stratum owes to a split that has so many of its rows."""
    return Want(least=count, most=count, about=count)


def apportion(count: int, sizes: Mapping[str | None, int], room: Mapping[str | None, int]) -> dict[str | None, int]:
    """Return how many of `count` rows each class gives: in proportion to its size, by largest remainder.

    Args:
        count: Rows wanted in all, one for each class or more; fewer are given where there is no room for them.
        sizes: Rows of each class.
        room: Most rows that each class can give, at least one.
    """
    total = sum(sizes.values())
    ideal = {name: count * size / total for name, size in sizes.items()}
    quota = {name: min(max(1, math.floor(ideal[name])), room[name]) for name in sizes}

    def lack(name: str | None) -> tuple[float, str]:
        return ideal[name] - quota[name], str(name)

    while sum(quota.values()) > count:
        quota[min((name for name in sizes if quota[name] > 1), key=lack)] -= 1
    for _ in range(count - sum(quota.values())):
        names = [name for name in sizes if quota[name] < room[name]]
        if not names:
            break
        quota[max(names, key=lack)] += 1
    return quota


def hold_out(stratum: Sequence[Component], validation: Want, test: Want) -> tuple[list[Component], list[Component]]:
    """Return the components of validation and of test; each gets one or more that asks, and one or more is left.

    Args:
        stratum: Ascending by position; as many components as there are splits asked for, and one more.
        validation: Taken from the lower end.
        test: Taken from the upper end.
    """
    n_asked = (validation.most > 0) + (test.most > 0)
    sizes = sorted(len(component) for component in stratum)
    fits = 2 * sizes[min(n_asked, len(sizes)) - 1]  # so that equal groups are drawn by lot, however large
    low = [component for component in stratum if len(component) <= max(validation.about, fits)]
    high = [component for component in reversed(stratum) if len(component) <= max(test.about, fits)]
    kept = high[0] if test.least else None  # validation may not take the last one that test can have
    low = [component for component in low if component is not kept]
    first = _fill(low, validation, at_most=len(stratum) - 1 - (kept is not None), upper=False)
    held = {component.members for component in first}
    high = [component for component in high if component.members not in held]
    return first, _fill(high, test, at_most=len(stratum) - 1 - len(first), upper=True)


def _fill(candidates: Sequence[Component], want: Want, *, at_most: int, upper: bool) -> list[Component]:
    """Return the first candidates, at least one where any rows are owed, that come nearest to the rows owed."""
    within = sum(len(c) for c in candidates if (1 - c.position <= want.share if upper else c.position < want.share))
    lacking = min(max(within, want.least), want.most)
    chosen: list[Component] = []
    for component in candidates[:at_most]:
        if lacking <= 0 or (chosen and 2 * lacking < len(component)):
            break
        chosen.append(component)
        lacking -= len(component)
    return chosen
