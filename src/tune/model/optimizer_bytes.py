"""How many bytes each optimizer keeps between two steps."""

import math
from collections.abc import Iterable, Sequence

from tune.config.optimizer import Optimizer
from tune.config.recipe import TrainConfig

_FLOAT = 4
_BLOCK = 256
"""Moments of eight bits that share a constant."""

_LEAST = 4096
"""Numbers from which on bitsandbytes keeps a tensor's moments in eight bits."""

_TABLES = 2 * 256 * _FLOAT
"""The levels of eight bits, with a sign and without; one table each for all tensors."""


def state_bytes(train: TrainConfig, shapes: Iterable[Sequence[int]]) -> int:
    """Return the bytes of an optimizer's state; a tensor's own step, a number each, is left out.

    Paged moments are counted whole: they leave the GPU only when there is nothing else left.

    Args:
        train: The optimizer and its momentum.
        shapes: Of the tensors that are trained, in float32.

    Source: Dettmers et al. 2022, https://arxiv.org/abs/2110.02861, section 2 (eight bits in blocks);
    Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235, section 3 (rows and columns).
    """
    found = [tuple(shape) for shape in shapes]
    match train.optimizer:
        case Optimizer.adamw | Optimizer.paged_adamw_32bit:
            return sum(2 * _FLOAT * math.prod(shape) for shape in found)
        case Optimizer.adamw_8bit | Optimizer.paged_adamw_8bit:
            tables = _TABLES if any(math.prod(shape) >= _LEAST for shape in found) else 0
            return tables + sum(2 * _eight_bits(math.prod(shape)) for shape in found)
        case Optimizer.adafactor:
            return sum(_FLOAT * _factored(shape) for shape in found)
        case Optimizer.sgd:
            return sum(_FLOAT * math.prod(shape) for shape in found) if train.momentum else 0


def _eight_bits(n: int) -> int:
    return n + _FLOAT * math.ceil(n / _BLOCK) if n >= _LEAST else _FLOAT * n


def _factored(shape: tuple[int, ...]) -> int:
    """A mean a row and a mean a column; a vector has all its numbers."""
    if len(shape) < 2:  # noqa: PLR2004 - a matrix
        return math.prod(shape)
    return math.prod(shape[:-1]) + math.prod(shape[:-2] + shape[-1:])
