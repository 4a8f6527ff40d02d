"""Which trials of a study are stopped before their end, and what is wrong with asking for it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum


class Pruner(StrEnum):
    """What stops a trial that does badly, by its validation loss on the way (train.evals)."""

    none = "none"
    median = "median"
    """Worse, at its best so far, than the median of the complete trials after the same share of the training."""

    halving = "halving"
    """Asynchronous successive halving, Li et al. 2018, https://arxiv.org/abs/1810.05934."""

    hyperband = "hyperband"
    """Halving in several brackets, of which some stop nobody early: Li et al. 2018, https://arxiv.org/abs/1603.06560."""

    patience = "patience"
    """Its own loss has stopped falling; others do not matter."""


@dataclass(kw_only=True, slots=True)
class PruningConfig:
    """Settings of the pruners; each has some."""

    startup: int = 5
    """Complete trials before the first is stopped; median alone reads it. At least 1."""

    spared: int = 1
    """Measurements at the start of a trial that are not judged; median alone reads it. At least 0."""

    one_in: int = 3
    """Of so many trials one goes on at each rung; halving and hyperband read it. At least 2."""

    patience: int = 3
    """Measurements in a row without a new lowest loss that are borne; patience alone reads it. At least 0."""


READ: dict[Pruner, frozenset[str]] = {
    Pruner.none: frozenset(),
    Pruner.median: frozenset({"startup", "spared"}),
    Pruner.halving: frozenset({"one_in"}),
    Pruner.hyperband: frozenset({"one_in"}),
    Pruner.patience: frozenset({"patience"}),
}
"""Which settings each pruner reads."""


def impossible_pruning(
    pruner: Pruner, pruning: PruningConfig, evals: int, *, searched: frozenset[str]
) -> Iterator[str]:
    """Yield a sentence for every combination that cannot work.

    Args:
        pruner: study.pruner.
        pruning: Its settings.
        evals: train.evals.
        searched: Keys that the sweep sets to other values.
    """
    least = {Pruner.median: pruning.spared + 1, Pruner.patience: pruning.patience + 2}.get(pruner, 1)
    if pruner is not Pruner.none and "train.evals" in searched:
        yield (
            f"sweep.space has train.evals, which study.pruner={pruner} compares trials by: the same measurement must "
            "be the same share of every training. Take it out of the space, or take study.pruner=none."
        )
    elif pruner is not Pruner.none and evals < least:
        yield (
            f"train.evals={evals} is not allowed with study.pruner={pruner}, which stops trials by the validation loss "
            f"on the way: it must be {least} or more, or the pruner stops none. Add train.evals={max(least, 4)}, or "
            "take study.pruner=none."
        )
    for name, value in asdict(pruning).items():
        if name not in READ[pruner] and value != getattr(PruningConfig(), name):
            readers = " or ".join(other for other, names in READ.items() if name in names)
            yield (
                f"study.pruning.{name}={value} has no effect with study.pruner={pruner}: take study.pruner={readers}, "
                "or leave it out."
            )
