"""When a training ends before its steps are used up, and what is wrong with asking for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tune.config.pruning import Pruner, PruningConfig

if TYPE_CHECKING:
    from tune.config.recipe import TrainConfig


@dataclass(kw_only=True, slots=True)
class EarlyStoppingConfig:
    """When a training ends by its own validation loss on the way (train.evals), and keeps the best weights it had."""

    patience: int | None = None
    """Measurements in a row without a lower loss, after which the training ends; null: it takes all its steps.

    With it a trial keeps the weights of its lowest measured loss, whether it ended early or not. At least 1.
    """

    least_gain: float = 0.0
    """By how much a loss must be below the lowest so far to count as lower, nats a token. At least 0."""


_DECIDING = frozenset({"train.evals", "train.max_steps", "train.early_stopping.patience"})
"""Where one of them is searched, some points may do without."""


def impossible_early_stopping(
    train: "TrainConfig", pruner: Pruner, pruning: PruningConfig, *, searched: frozenset[str]
) -> Iterator[str]:
    """Yield a sentence for every combination that cannot work.

    Args:
        train: Settings of the training.
        pruner: study.pruner.
        pruning: Its settings.
        searched: Keys that the sweep sets to other values.
    """
    stopping = train.early_stopping
    if searched & _DECIDING:
        return
    if stopping.patience is None:
        if stopping.least_gain or "train.early_stopping.least_gain" in searched:
            yield (
                "train.early_stopping.least_gain has no effect without train.early_stopping.patience, which says after "
                "how many measurements without such a gain a training ends: add train.early_stopping.patience=3, or "
                "leave it out."
            )
        return
    key, needed = f"train.early_stopping.patience={stopping.patience}", stopping.patience + 1
    if not train.evals:
        yield (
            f"{key} is not allowed with train.evals=0: nothing is measured on the way, so nothing can end the "
            f"training. Add train.evals={max(needed, 8)}, or leave the patience out."
        )
    elif train.evals < needed:
        yield (
            f"{key} is not allowed with train.evals={train.evals}: a first measurement and {stopping.patience} that "
            f"are not lower make {needed}, so no training would end early. Take train.evals={needed} or more, "
            "or less patience."
        )
    elif train.max_steps is not None and train.max_steps <= needed:
        yield (
            f"{key} is not allowed with train.max_steps={train.max_steps}: such a training has "
            f"{train.max_steps - 1} measurement(s) before its end, and {needed} are needed to end it early. Take "
            f"train.max_steps={needed + 1} or more, or less patience."
        )
    if pruner is Pruner.patience and pruning.patience < stopping.patience and not stopping.least_gain:
        yield (
            f"{key} is not allowed with study.pruner=patience and study.pruning.patience={pruning.patience}: the "
            "pruner would end every such trial first, without a result. Take study.pruner=none or one that compares "
            "trials, such as median."
        )
