"""Classes of unequal size evened out in the training rows, by leaving rows out or by repeating them."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tune.config.data import Balance, BalanceConfig
from tune.data.account import Taken, taken
from tune.data.draw import content_key, lot
from tune.errors import DataError
from tune.examples import Example


@dataclass(frozen=True, kw_only=True, slots=True)
class Balanced:
    """Training rows with their classes evened out."""

    rows: list[Example]
    taken: Taken | None = None
    """What a cap left out; None where nothing is capped."""

    note: str | None = None
    """What became of the classes, in words; None where nothing changed."""


def balance_rows(
    rows: Sequence[Example], balance: BalanceConfig, *, class_of: Callable[[Example], str | None], seed: int
) -> Balanced:
    """Return the training rows with their classes as data.balance asks.

    cap leaves the order as it is. resample gives every class as many rows as the largest has: each row of a class
    stands in the result k or k + 1 times, in an order drawn anew, so that its beginning is about balanced too. A
    repeated row's id ends in #2, #3, and so on.

    Args:
        rows: The training rows.
        balance: What is asked for.
        class_of: The class of a row: its value in data.balance.column, or its label; None where it has none.
        seed: `data.seed`.

    Raises:
        DataError: A row has no class, or a cap is asked for without its number.
    """
    if balance.how is Balance.none or not rows:
        return Balanced(rows=list(rows))
    if balance.how is Balance.cap and balance.cap is None:
        msg = "data.balance.how=cap needs data.balance.cap, the most training rows of a class, for example 500."
        raise DataError(msg)
    classes = _classes(rows, balance, class_of, seed)
    return _capped(rows, classes, balance.cap) if balance.how is Balance.cap else _resampled(classes, seed)


def _classes(
    rows: Sequence[Example], balance: BalanceConfig, class_of: Callable[[Example], str | None], seed: int
) -> dict[str, list[Example]]:
    """Return the rows of each class, each in the order of its draw."""
    classes: dict[str, list[Example]] = {}
    for row in sorted(rows, key=lambda row: (lot(content_key(row), seed=seed, purpose="balance"), row.id)):
        name = class_of(row)
        if name is None:
            column = f"data.balance.column={balance.column}" if balance.column else "data.columns.label"
            msg = (
                f"data.balance.how={balance.how} needs a class of every row, and {row.id} has none in {column}. Name a "
                "column that every row has in data.columns.label or data.balance.column, complete the row, or take "
                "data.balance.how=none."
            )
            raise DataError(msg)
        classes.setdefault(name, []).append(row)
    return classes


def _capped(rows: Sequence[Example], classes: dict[str, list[Example]], cap: int | None) -> Balanced:
    out = {row.id: name for name, members in classes.items() for row in members[cap:]}
    sizes = {name: len(members) for name, members in classes.items()}
    gone = [(row, f"class {out[row.id]!r} has {sizes[out[row.id]]} rows") for row in rows if row.id in out]
    if not gone:
        return Balanced(rows=list(rows))
    n_cut = len(set(out.values()))
    of_classes = f"{n_cut} of {len(classes)} classes had more"
    note = f"data.balance.cap={cap} left {len(gone)} of {len(rows)} training rows out: {of_classes}."
    kept = [row for row in rows if row.id not in out]
    return Balanced(rows=kept, taken=taken("rows above the cap of their class", "data.balance.cap", gone), note=note)


def _resampled(classes: dict[str, list[Example]], seed: int) -> Balanced:
    largest = max(map(len, classes.values()))
    drawn: list[tuple[float, str, Example]] = []
    for members in classes.values():
        for number in range(largest):
            turn, place = divmod(number, len(members))
            row = members[place]
            order = lot(content_key(row), seed=seed, purpose=f"repeat {turn}")
            again = dataclasses.replace(row, id=f"{row.id}#{turn + 1}") if turn else row
            drawn.append((order, again.id, again))
    n_before = sum(map(len, classes.values()))
    note = (
        f"data.balance.how=resample made {len(classes)} classes of {min(map(len, classes.values()))} to {largest} "
        f"training rows {largest} each: {len(drawn) - n_before} of {len(drawn)} rows are repeats."
    )
    rows = [row for *_, row in sorted(drawn, key=lambda one: one[:2])]
    return Balanced(rows=rows, note=note if len(drawn) > n_before else None)
