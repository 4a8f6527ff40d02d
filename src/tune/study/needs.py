"""What the trials of a command need and this machine lacks; said before one starts, and without torch."""

from importlib.util import find_spec

from tune.config.model import Device
from tune.config.optimizer import Optimizer
from tune.config.optimizer_rules import WITHOUT_GPU
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.study.machine import sees_gpu
from tune.study.space import Choices, Space

_KEY = "train.optimizer"


def refuse_missing(config: Config, space: Space | None = None) -> None:
    """Refuse optimizers that need a GPU where `model.device` is auto and there is none, or a package that is not here.

    Args:
        config: The trial, or what the trials of a study have in common.
        space: What varies in a study.

    Raises:
        ConfigError: One of them is asked for, or may be drawn.
    """
    asked = _optimizers(config, space)
    if Optimizer.galore in asked and find_spec("galore_torch") is None:
        msg = (
            f"{_KEY}=galore needs the package galore-torch, which is not installed: pip install 'loratune[galore]', or "
            f"take {_KEY}=adamw."
        )
        raise ConfigError(msg)
    paged = sorted(one for one in asked if one.is_paged)
    if paged and config.model.device is Device.auto and not sees_gpu():
        msg = (
            f"{_KEY}={' or '.join(paged)} needs a GPU, and no NVIDIA GPU is seen here (/dev/nvidia*, "
            f"CUDA_VISIBLE_DEVICES). {WITHOUT_GPU}; if torch sees a GPU all the same, say model.device=cuda."
        )
        raise ConfigError(msg)


def _optimizers(config: Config, space: Space | None) -> set[Optimizer]:
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
