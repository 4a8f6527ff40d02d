"""Which layers hold the most signal: singular values of their weights that noise alone would not have.

A matrix (m, n) of independent entries of standard deviation s has, as it grows, no singular value above
s (sqrt(m) + sqrt(n)), the edge of the Marchenko-Pastur law. What lies above is taken for signal, the rest for noise.

Source: Hartford et al. 2024, https://arxiv.org/abs/2406.06623 (layers by their ratio, the top share of each type);
Marchenko and Pastur 1967 for the edge. Spectrum's authors take s from the quartiles of the singular values; here it is
taken from the entries without the signal that was found, which gives the edge of a matrix of noise itself.
"""

import math
from typing import Any
from weakref import WeakKeyDictionary

from tune.model.quantize import plain_weight
from tune.model.targets import linear_layers

_ROUNDS = 20
"""Most times that noise is measured anew without the signal; a few are enough."""

_KNOWN: WeakKeyDictionary[Any, dict[str, float]] = WeakKeyDictionary()
"""Ratios of the layers of a loaded base, which serves many trials with the same weights."""


def top_layers(model: Any, names: tuple[str, ...], share: float) -> tuple[str, ...]:
    """Return the full names of the layers with the highest signal-to-noise ratio, in the model's order.

    Args:
        model: A causal language model, quantized or not.
        names: Endings of the names of the layers to choose from.
        share: Of each type of layer (q_proj, down_proj, ...), above 0 up to 1; at least one of each is taken.
    """
    endings = tuple(f".{name}" for name in names)
    by_type: dict[str, dict[str, float]] = {}
    for name, kind in linear_layers(model).items():
        if f".{name}".endswith(endings):
            by_type.setdefault(kind, {})[name] = _ratio(model, name)
    taken = set()
    for ratios in by_type.values():
        # sorted() keeps the model's order where two are equal, so the same weights give the same choice.
        ranked = sorted(ratios, key=lambda name: -ratios[name])
        # 0.28 of 25 is 7.000000000000001 in floats, and means 7.
        taken.update(ranked[: math.ceil(round(share * len(ranked), 9))])
    return tuple(name for name in linear_layers(model) if name in taken)


def _ratio(model: Any, name: str) -> float:
    known = _KNOWN.setdefault(model, {})
    if name not in known:
        known[name] = signal_to_noise(plain_weight(model.get_submodule(name)))
    return known[name]


def signal_to_noise(weight: Any) -> float:
    """Return the sum of the singular values above the threshold over the sum of those below; inf where none is below.

    Args:
        weight: (m, n)
    """
    import torch

    values = torch.linalg.svdvals(weight.detach().float())
    edge = threshold(values, tuple(weight.shape))
    signal, noise = float(values[values > edge].sum()), float(values[values <= edge].sum())
    return signal / noise if noise else (math.inf if signal else 0.0)


def threshold(values: Any, shape: tuple[int, int]) -> float:
    """Return the largest singular value that noise would have: s (sqrt(m) + sqrt(n)).

    The squares of the singular values sum up to those of the entries. s is first that of all entries; then the values
    above the threshold are left out of it, until none is new.

    Args:
        values: (min(m, n),) singular values.
        shape: (m, n) of the matrix.
    """
    m, n = shape
    squares, n_signal, edge = values.double() ** 2, -1, math.inf
    for _ in range(_ROUNDS):
        above = values > edge
        if int(above.sum()) == n_signal:
            break
        n_signal = int(above.sum())
        # Without k signals and their directions on either side, (m - k) x (n - k) entries of noise are left.
        left = max((m - n_signal) * (n - n_signal), 1)
        spread = math.sqrt(float(squares[~above].sum()) / left)
        edge = spread * (math.sqrt(m) + math.sqrt(n))
    return edge
