"""Rows without those that teach nothing, or teach it twice; each step is counted and shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tune.config.data import CleanRowsConfig
from tune.data.account import Taken, taken
from tune.data.duplicates import Gone, exact_duplicates, near_duplicates
from tune.data.filters import checks
from tune.errors import DataError
from tune.examples import Example

On = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """What is left, and what went."""

    rows: list[Example]
    """In the order in which they came."""

    clusters: list[int]
    """(N,) rows that ask nearly the same share a number: they must not be divided between splits."""

    taken: tuple[Taken, ...]
    """One a step, in their order, also of those that took nothing."""

    noted: tuple[Taken, ...]
    """What stays and should be seen: rows that ask what another asks and answer otherwise."""


def clean_rows(rows: Sequence[Example], clean: CleanRowsConfig, *, on: On | None = None) -> Cleaned:
    """Return the rows that pass every step, which are in this order.

    Broken text, empty answers, too few or too many words, another script, answers that repeat the prompt, exact
    duplicates, near-duplicates. What the answers of all turns look like counts, not only the last.

    Args:
        rows: As they were read.
        clean: Which steps are on, and their limits.
        on: Told what is done, and how many of how many rows of it.

    Raises:
        DataError: No row is left; the text says which step took how many.
    """
    say = on or (lambda _what, _done, _total: None)
    left = list(rows)
    steps: list[Taken] = []
    for number, (step, setting, check) in enumerate(filters := checks(clean)):
        say("filters", number, len(filters))
        left = _without(left, [(at, why) for at, row in enumerate(left) if (why := check(row))], steps, step, setting)
    say("filters", len(filters), len(filters))
    if clean.exact_duplicates:
        gone = exact_duplicates(left)
        left = _without(left, gone, steps, "exact duplicates", "data.clean.exact_duplicates")
    near = near_duplicates(left, clean, lambda done, total: say("near-duplicates", done, total))
    noted = taken("same question, other answer", "", [(left[at], why) for at, why in near.contradictions])
    clusters = near.clusters
    if clean.near_duplicates:
        away = {at for at, _ in near.gone}
        clusters = [cluster for at, cluster in enumerate(clusters) if at not in away]
        left = _without(left, near.gone, steps, "near-duplicates", "data.clean.near_duplicates")
    if rows and not left:
        raise DataError(_nothing_left(len(rows), steps))
    return Cleaned(rows=left, clusters=clusters, taken=tuple(steps), noted=(noted,))


def _without(rows: list[Example], gone: Gone, steps: list[Taken], step: str, setting: str) -> list[Example]:
    steps.append(taken(step, setting, [(rows[at], why) for at, why in gone]))
    away = {at for at, _ in gone}
    return [row for at, row in enumerate(rows) if at not in away]


def _nothing_left(n_rows: int, steps: Sequence[Taken]) -> str:
    took = [step for step in steps if step.count]
    counts = ", ".join(f"{step.step} {step.count} ({step.setting})" for step in took)
    case = next(case for step in took for case in step.cases)
    return (
        f"cleaning left none of the {n_rows} rows: {counts}. The first was {case.id}: {case.why}. "
        "Mend the rows, or change or turn off the setting that took them."
    )
