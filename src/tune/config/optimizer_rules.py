"""Settings that an optimizer cannot have, or would silently leave out. Ranges stand in tune.config.rules."""

from collections.abc import Iterator

from tune.config.optimizer import Optimizer
from tune.config.recipe import Device, ModelConfig, TrainConfig

WITHOUT_GPU = "train.optimizer=adamw_8bit keeps small moments on a processor too, and adamw those of 32 bits"
"""Way out where there is no GPU."""


def impossible_optimizer(train: TrainConfig, model: ModelConfig, *, searched: frozenset[str]) -> Iterator[str]:
    """Yield a sentence for every setting that this optimizer cannot have.

    Whether there is a GPU where `model.device` is auto is no question of the configuration: see tune.study.needs.

    Args:
        train: The optimizer and its settings.
        model: Where it is to run.
        searched: Keys that the sweep sets to other values.
    """
    if train.optimizer.is_paged and model.device is Device.cpu:
        yield (
            f"train.optimizer={train.optimizer} is not allowed with model.device=cpu: its moments move between a GPU "
            f"and the processor. {WITHOUT_GPU}; or take model.device=cuda."
        )
    given = "a search over train.momentum" if "train.momentum" in searched else f"train.momentum={train.momentum:g}"
    asked = train.momentum > 0 or "train.momentum" in searched
    if asked and train.optimizer is not Optimizer.sgd and "train.optimizer" not in searched:
        yield (
            f"{given} has no effect with train.optimizer={train.optimizer}, which keeps its own averages or none: take "
            "train.optimizer=sgd, or leave it out."
        )
