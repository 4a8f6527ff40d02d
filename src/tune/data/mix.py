"""General rows among the training rows, so that a model that learns a task forgets less of the rest.

Published advice is a share of 0.1 to 0.2; `data.mix.share` may be searched. So that a search compares shares and
not training costs, the number of training rows is the same for every share where data.n_train is set: general rows
take the places of task rows. Where data.n_train is null every task row stays, and general rows come on top.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tune.data.draw import content_key, lot
from tune.errors import DataError
from tune.examples import Example

MIXED = "mix/"
"""How the ids of general rows begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed:
    """Training rows with general rows among them."""

    rows: list[Example]
    n_mixed: int
    """How many of them are general; their ids begin with mix/."""

    note: str | None = None
    """What was mixed, in words; None where nothing was asked for."""


def mix_in(
    train: Sequence[Example], general: Sequence[Example], *, share: float, n_train: int | None, seed: int
) -> Mixed:
    """Return the task's rows with general rows spread among them, so that these have their share of the result.

    The general rows of a share are among those of any larger one, and the task's rows among those of any smaller
    one, so two shares differ by as few rows as they can.

    Args:
        train: The task's rows; the first ones are kept where there is no place for all.
        general: What is drawn from.
        share: Of the result, from 0 to 1.
        n_train: `data.n_train`: most rows of the result, which has as many for every share; None: all task rows and
            `share / (1 - share)` general rows for each, or, at a share of 1, as many general rows instead of them.
        seed: `data.seed`.

    Raises:
        DataError: There are fewer general rows than the share takes.
    """
    n_task, n_general = _amounts(len(train), share, n_train)
    if share <= 0:
        return Mixed(rows=list(train[:n_task]), n_mixed=0)
    if len(general) < n_general:
        way = "add general rows, ask for a smaller share" + (", or set data.n_train" if n_train is None else "")
        msg = (
            f"data.mix.share={share:g} takes {n_general} general rows beside {n_task} of the task, and data.mix.path "
            f"has {len(general)}. Name a larger data.mix.path, {way}."
        )
        raise DataError(msg)
    drawn = sorted(general, key=lambda row: (lot(content_key(row), seed=seed, purpose="mix"), row.id))
    placed = [((place + 0.5) / n_task, row) for place, row in enumerate(train[:n_task])]
    for row in drawn[:n_general]:
        order = lot(content_key(row), seed=seed, purpose="place in the mix")
        placed.append((order, dataclasses.replace(row, id=f"{MIXED}{row.id}")))
    rows = [row for _, row in sorted(placed, key=lambda one: one[0])]
    note = f"data.mix.share={share:g}: {n_general} of {len(rows)} training rows are general rows of data.mix.path."
    return Mixed(rows=rows, n_mixed=n_general, note=note + _gave_way(len(train) - n_task))


def _amounts(n_rows: int, share: float, n_train: int | None) -> tuple[int, int]:
    """Return how many task rows and how many general rows there are to be."""
    if n_train is not None:
        n_result = min(n_train, n_rows)
        n_general = round(share * n_result)
        return n_result - n_general, n_general
    if share >= 1:
        return 0, n_rows
    return n_rows, round(n_rows * share / (1 - share))


def _gave_way(n_rows: int) -> str:
    return f" {n_rows} rows of the task are not trained on." if n_rows else ""
