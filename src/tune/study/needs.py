"""What the trials of a command need and this machine lacks; said before one starts, and without torch."""

from collections.abc import Iterable

from tune.config.optimizer import Optimizer
from tune.config.optimizer_rules import WITHOUT_GPU
from tune.config.recipe import Device
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.study.machine import sees_gpu
from tune.study.space import Choices, Space

_KEY = "train.optimizer"


def refuse_missing_gpu(config: Config, space: Space | None = None) -> None:
    """Refuse optimizers that need a GPU where `model.device` is auto and there is none.

    Raises:
        ConfigError: One of them is asked for, or may be drawn.
    """
    if config.model.device is not Device.auto or sees_gpu():
        return
    asked = sorted(one for one in _optimizers(config, space) if one.is_paged)
    if asked:
        msg = (
            f"{_KEY}={' or '.join(asked)} needs a GPU, and no NVIDIA GPU is seen here (/dev/nvidia*, "
            f"CUDA_VISIBLE_DEVICES). {WITHOUT_GPU}; if torch sees a GPU all the same, say model.device=cuda."
        )
        raise ConfigError(msg)


def _optimizers(config: Config, space: Space | None) -> Iterable[Optimizer]:
    """Return the optimizers that trials may have: the searched ones, and the configured one where none is."""
    own = {config.train.optimizer}
    if space is None or config.sweep is None:
        return own
    found: set[Optimizer] = set()
    for dimension in space.dimensions:
        if isinstance(dimension, Choices) and dimension.key == _KEY:
            found |= {Optimizer(str(value)) for value in dimension.values} | (own if dimension.when else set())
        elif dimension.key in config.sweep.options:
            found |= {Optimizer(s[_KEY]) for s in config.sweep.options[dimension.key].values() if _KEY in s}
    return found or own
