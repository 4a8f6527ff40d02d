"""Which rows are trained on, which the search is judged by, and which it never sees.

Every component of rows (see `tune.data.components`) draws a position between 0 and 1 from its content and the seed.
Validation is taken from the lower end, test from the upper end, the rest is trained on. So a split does not depend
on the order of the rows, and a share that shrinks as the rows grow moves rows to training, never between validation
and test. What happens when rows are appended that belong to no component of before:

- A share without labels: nobody moves, since what belongs to a split is told by the position alone. The price is a
  size that is only about the share: of 1,000 rows, 0.2 is 200 give or take 13. Two exceptions: a split that would be
  empty takes the component nearest to its end, until another comes nearer; and groups larger than a split should be
  are not held out (below), until it should be larger than they are.
- A share with labels: what a position says holds as long as each label has within one row of the share, at least
  one; otherwise the nearest rows of the label are taken or given back. A row appended to a label moves at most one
  row of that label in each held-out split, and none of another label.
- A number of rows: exact, so a row that is appended nearer to the end pushes one out, at most one for each row
  appended; with labels, which share the number by largest remainder, now and then another.

A row that joins a group of before moves nobody. One that ties two components together moves one of them; one that
nearly repeats a row without group may move that row, if its key is the smaller.

With groups and near-duplicates a number or a share of a label can only be met about: a split is filled in the order
of the positions until the next component would bring it no nearer, so each label is off by half a component at most,
or by what its first component has too many. Components larger than a split should be are trained on, unless it would
be left without any: one group with half of the rows never becomes the validation split of 0.1. Components of several
labels are drawn together, as if these were one more label, by a share without regard to their size.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tune.data.components import Component, components
from tune.data.draw import content_key, order_in_split
from tune.data.strata import Want, apportion, hold_out, of_count, of_share
from tune.errors import DataError
from tune.examples import Example

RULE = ((1_000, 0.2), (10_000, 0.1))
"""Share of up to so many rows where none is asked for."""

RULE_ABOVE = 0.05
"""Share of more rows."""

_N_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Indices of the rows of each split.

    Each is in an order of its own draw, so that the first n are a fair sample of the split that rows appended later
    hardly change.
    """

    train: list[int]
    validation: list[int]
    test: list[int]
    notes: tuple[str, ...] = ()
    """What could not be done as asked, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    key: str
    value: float | None
    share: float
    """Of the rows; 0 where none are asked for or a number is."""

    count: int
    """Number of rows; 0 where none are asked for or a share is."""

    about: float
    """Rows that the split should hold."""

    def __str__(self) -> str:
        return f"{self.key}={'null' if self.value is None else format(self.value, 'g')}"

    def __bool__(self) -> bool:
        return self.share > 0 or self.count > 0


def split_rows(
    rows: Sequence[Example],
    clusters: Sequence[int],
    *,
    validation: float | None,
    test: float | None,
    seed: int,
) -> Parts:
    """Return which rows go where; every index stands in exactly one split.

    Args:
        rows: What is divided; stratified by label where every row has one.
        clusters: For each row, the number of its cluster of near-duplicates; a row alone has a number of its own.
        validation: Share (below 1) or number of rows, 0 for none; None: 0.2 of up to 1,000 rows, 0.1 of up to
            10,000, 0.05 of more.
        test: The same; 0 for a data set that has a test file of its own.
        seed: `data.seed`.

    Raises:
        DataError: More is asked for than there is, rows that must stay together leave a split empty, or a label has
            too few rows to stand in each split.
    """
    assert len(rows) == len(clusters)
    asked = (_asked("data.validation", validation, len(rows)), _asked("data.test", test, len(rows)))
    _check_sizes(asked, len(rows))
    keys = [content_key(row) for row in rows]
    pieces = components(rows, clusters, keys, seed=seed)
    _check_pieces(asked, rows, pieces)
    stratified = all(row.label is not None for row in rows)
    held = _hold_out(_strata(rows, pieces, asked) if stratified else {None: pieces}, asked)
    parts = [
        [i for piece in pieces if held.get(piece.members) == place for i in piece.members] for place in (None, 0, 1)
    ]
    order = [order_in_split(key, seed=seed) for key in keys]
    train, first, second = (sorted(part, key=order.__getitem__) for part in parts)
    notes = _notes(rows, asked, (train, first, second), stratified=stratified)
    return Parts(train=train, validation=first, test=second, notes=tuple(notes))


def _asked(key: str, value: float | None, n_rows: int) -> _Asked:
    wanted = next((share for most, share in RULE if n_rows <= most), RULE_ABOVE) if value is None else value
    if wanted >= 1:
        return _Asked(key=key, value=value, share=0.0, count=int(wanted), about=wanted)
    return _Asked(key=key, value=value, share=wanted, count=0, about=wanted * n_rows)


def _check_sizes(asked: Sequence[_Asked], n_rows: int) -> None:
    wanted = [one for one in asked if one]
    if wanted and sum(max(1, one.about) for one in wanted) > n_rows - 1:
        there_are = "there is 1 row" if n_rows == 1 else f"there are {n_rows} rows"
        msg = (
            f"{' and '.join(map(str, wanted))} leave nothing to train on: after cleaning {there_are}, and "
            "each split needs at least one. Ask for fewer rows or smaller shares, or add rows."
        )
        raise DataError(msg)


def _check_pieces(asked: Sequence[_Asked], rows: Sequence[Example], pieces: Sequence[Component]) -> None:
    wanted = [one for one in asked if one]
    if not wanted or len(pieces) > len(wanted):
        return
    grouped = any(row.group is not None for row in rows)
    why = "data.columns.group keeps rows of a group together" if grouped else "near-duplicates stay together"
    way = "Name another data.columns.group, or leave it out" if grouped else "Raise data.clean.similarity"
    whole = "all one piece" if len(pieces) == 1 else f"only {len(pieces)} pieces"
    msg = (
        f"{' and '.join(map(str, wanted))} cannot be held out: {why}, which makes the {len(rows)} rows {whole}, and "
        f"training and {' and '.join(one.key for one in wanted)} need one each. {way}; or add rows; or ask for "
        f"{wanted[-1].key}=0."
    )
    raise DataError(msg)


def _strata(
    rows: Sequence[Example], pieces: Sequence[Component], asked: Sequence[_Asked]
) -> dict[str | None, list[Component]]:
    """Return the components of each label; under None those of several or of a label with too few."""
    n_needed = 1 + sum(map(bool, asked))
    _check_labels(rows, pieces, asked, n_needed)
    strata: dict[str | None, list[Component]] = {}
    for label, its_own in _by_label(pieces).items():
        strata.setdefault(label if len(its_own) >= n_needed else None, []).extend(its_own)
    pooled = strata.pop(None, [])
    if len(pooled) >= n_needed:
        strata[None] = sorted(pooled, key=lambda piece: piece.position)
    for one in asked:
        if one.count and one.count < len(strata):
            msg = (
                f"{one} is too few: data.columns.label makes {len(strata)} classes, and each has one row or more in "
                f"every split. Ask for {len(strata)} rows or more, or a share, or leave data.columns.label out."
            )
            raise DataError(msg)
    return strata


def _by_label(pieces: Sequence[Component]) -> dict[str | None, list[Component]]:
    found: dict[str | None, list[Component]] = {}
    for piece in pieces:
        found.setdefault(piece.label, []).append(piece)
    return found


def _check_labels(rows: Sequence[Example], pieces: Sequence[Component], asked: Sequence[_Asked], n_needed: int) -> None:
    holders = Counter(label for piece in pieces for label in {rows[i].label for i in piece.members})
    n_rows = Counter(row.label for row in rows)
    scarce = [label for label in sorted(map(str, holders)) if holders[label] < n_needed]
    if not scarce:
        return
    named = ", ".join(f"{label!r} ({_amount(n_rows[label], holders[label])})" for label in scarce[:_N_NAMED])
    more = f" and {len(scarce) - _N_NAMED} more labels" if len(scarce) > _N_NAMED else ""
    splits = " and ".join(["training", *(one.key for one in asked if one)])
    msg = (
        f"data.columns.label: too few rows of {named}{more} to stand in {splits}, which takes {n_needed} of each label "
        "that no group or near-duplicate ties together. Merge such a label with another, add rows or remove its rows; "
        "or leave data.columns.label out, and the splits are drawn without it."
    )
    raise DataError(msg)


def _amount(n_rows: int, n_pieces: int) -> str:
    return f"{n_rows} row{'s' * (n_rows > 1)}" + (f" in {n_pieces}" if n_pieces < n_rows else "")


def _hold_out(strata: Mapping[str | None, list[Component]], asked: Sequence[_Asked]) -> dict[tuple[int, ...], int]:
    """Return for each component that is held out, known by its members, the split: 0 validation, 1 test."""
    sizes = {label: sum(map(len, pieces)) for label, pieces in strata.items()}
    room = {label: size - 1 - bool(asked[1]) for label, size in sizes.items()}
    validation = _wants(asked[0], sizes, room)
    test = _wants(asked[1], sizes, {label: size - 1 - validation[label].least for label, size in sizes.items()})
    held: dict[tuple[int, ...], int] = {}
    for label, pieces in strata.items():
        for place, chosen in enumerate(hold_out(pieces, validation[label], test[label])):
            held.update((piece.members, place) for piece in chosen)
    return held


def _wants(asked: _Asked, sizes: Mapping[str | None, int], room: Mapping[str | None, int]) -> dict[str | None, Want]:
    if asked.count:
        return {label: of_count(count) for label, count in apportion(asked.count, sizes, room).items()}
    if not asked:
        return dict.fromkeys(sizes, Want())
    return {label: of_share(asked.share, size, within_one=label is not None) for label, size in sizes.items()}


def _notes(
    rows: Sequence[Example], asked: Sequence[_Asked], parts: Sequence[list[int]], *, stratified: bool
) -> Iterator[str]:
    n_without = sum(row.label is None for row in rows)
    if 0 < n_without < len(rows):
        yield f"{n_without} of {len(rows)} rows have no data.columns.label, so the splits are drawn without it."
    for one, part in zip(asked, parts[1:], strict=True):
        off = abs(len(part) - one.about)
        if off > (one.about / 10 if one.count else max(1, one.about / 2)):
            why = "rows that stay together, or few rows, allow no more exact division"
            way = "" if one.count else "; a number of rows is held to more exactly than a share"
            yield f"{one} should hold about {one.about:.0f} rows and holds {len(part)}: {why}{way}."
    if not stratified:
        return
    labels = {row.label for row in rows}
    for key, part in zip(("the training rows", "data.validation", "data.test"), parts, strict=True):
        missing = sorted(map(str, labels - {rows[i].label for i in part})) if part else []
        if missing:
            named = ", ".join(map(repr, missing[:_N_NAMED]))
            those = "1 label is" if len(missing) == 1 else f"{len(missing)} labels are"
            yield f"{those} not in {key} ({named}): groups and near-duplicates tie rows of several labels together."
