"""How many bytes each optimizer keeps between two steps."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tune.config.optimizer import Optimizer
from tune.config.recipe import TrainConfig

_FLOAT = 4
_BLOCK = 256
"""Moments of eight bits that share a constant."""

_LEAST = 4096
"""Numbers from which on bitsandbytes keeps a tensor's moments in eight bits."""

_TABLES = 2 * 256 * _FLOAT
"""The levels of eight bits, with a sign and without; one table each for all tensors."""


def model_state_bytes(train: TrainConfig, model: Any) -> int:
    """Return the bytes of an optimizer's state for what is trained of a model, which may be on the meta device."""
    from torch import nn

    projected = set()
    if train.optimizer is Optimizer.galore:
        projected = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Linear)}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rest = [parameter.shape for parameter in trained if id(parameter) not in projected]
    matrices = [parameter.shape for parameter in trained if id(parameter) in projected]
    return state_bytes(train, rest) + sum(_FLOAT * _projected(shape, train.galore_rank) for shape in matrices)


def state_bytes(train: TrainConfig, shapes: Iterable[Sequence[int]]) -> int:
    """Return the bytes of an optimizer's state; a tensor's own step, a number each, is left out.

    Paged moments are counted whole: they leave the GPU only when there is nothing else left.

    Args:
        train: The optimizer and its momentum.
        shapes: Of the tensors that are trained, in float32; those that GaLore projects are not among them.

    Source: Dettmers et al. 2022, https://arxiv.org/abs/2110.02861, section 2 (eight bits in blocks);
    Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235, section 3 (rows and columns).
    """
    found = [tuple(shape) for shape in shapes]
    match train.optimizer:
        case Optimizer.adamw | Optimizer.paged_adamw_32bit | Optimizer.galore:
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


def _projected(shape: Sequence[int], rank: int) -> int:
    """Two moments of the longer side by the rank, and the directions: the rank by the shorter side."""
    long, short = max(shape), min(shape)
    kept = min(rank, short)
    return 2 * long * kept + kept * short


def _factored(shape: tuple[int, ...]) -> int:
    """A mean a row and a mean a column; a vector has all its numbers."""
    if len(shape) < 2:  # noqa: PLR2004 - a matrix
        return math.prod(shape)
    return math.prod(shape[:-1]) + math.prod(shape[:-2] + shape[-1:])
