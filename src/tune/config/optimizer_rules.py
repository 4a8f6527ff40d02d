"""Settings that an optimizer cannot have, or would silently leave out. Ranges stand in tune.config.rules."""

from collections.abc import Iterator

from tune.config.model import Device
from tune.config.optimizer import Optimizer
from tune.config.recipe import TrainConfig
from tune.config.schema import Config

WITHOUT_GPU = "train.optimizer=adamw_8bit keeps small moments on a processor too, and adamw those of 32 bits"
"""Way out where there is no GPU."""

_OWN = {"momentum": Optimizer.sgd, "galore_rank": Optimizer.galore}
"""Settings that one optimizer alone reads."""

_FULL = "full"
"""The one method that GaLore is for: it saves memory on gradients of whole matrices."""


def impossible_optimizer(config: Config, *, searched: frozenset[str]) -> Iterator[str]:
    """Yield a sentence for every setting that the trial's optimizer cannot have.

    Whether there is a GPU where `model.device` is auto is no question of the configuration: see tune.study.needs.

    Args:
        config: The trial.
        searched: Keys that the sweep sets to other values.
    """
    train = config.train
    if train.optimizer.is_paged and config.model.device is Device.cpu:
        yield (
            f"train.optimizer={train.optimizer} is not allowed with model.device=cpu: its moments move between a GPU "
            f"and the processor. {WITHOUT_GPU}; or take model.device=cuda."
        )
    if train.optimizer is Optimizer.galore:
        yield from _impossible_galore(config, searched)
    if "train.optimizer" not in searched:
        yield from _without_effect(train, searched)


def _impossible_galore(config: Config, searched: frozenset[str]) -> Iterator[str]:
    if config.lora.method != _FULL:
        yield (
            f"train.optimizer=galore is not allowed with lora.method={config.lora.method}: it projects gradients of "
            "whole matrices, and an adapter's are small already. Take lora=full, or "
            "train.optimizer=adamw."
        )
    if config.train.weight_decay > 0 and "train.optimizer" not in searched:
        yield (
            f"train.weight_decay={config.train.weight_decay:g} has no effect with train.optimizer=galore: transformers "
            "hands GaLore no decay. Leave it at 0, or take train.optimizer=adamw."
        )


def _without_effect(train: TrainConfig, searched: frozenset[str]) -> Iterator[str]:
    for name, owner in _OWN.items():
        key, value = f"train.{name}", getattr(train, name)
        asked = key in searched or value != getattr(TrainConfig(), name)
        if asked and train.optimizer is not owner:
            given = f"a search over {key}" if key in searched else f"{key}={value:g}"
            yield (
                f"{given} has no effect with train.optimizer={train.optimizer}, which does not read it: take "
                f"train.optimizer={owner}, or leave it out."
            )
