"""The paired bootstrap: what the mean change would have been on other draws of the same questions."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

N_RESAMPLES = 4999  # p has steps of 2 / 5000; the ends move by about a hundredth of the interval's width
AT_ONCE = 2_000_000  # numbers drawn at once: 16 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampled:
    """The bootstrap's interval and its test of no change."""

    low: float
    high: float
    p: float


def paired_bootstrap(change: NDArray[np.float64], *, confidence: float) -> Resampled:
    """Return the bias-corrected and accelerated interval of the mean of changes, expanded as t is over the normal.

    A resample varies by (N - 1) / N of the sample's variance, and knows no more of it than t does: both are made good.

    The same changes give the same interval, in whatever order they come; swapping the models mirrors it.

    Args:
        change: (N,) not all equal.
        confidence: Probability that the interval is meant to cover, between 0 and 1.

    Source: Efron 1987, https://doi.org/10.1080/01621459.1987.10478410; for a mean the acceleration is
        sum d^3 / (6 (sum d^2)^(3/2)), d around the mean. The expansion is that of Hesterberg 2015,
        https://doi.org/10.1080/00031305.2015.1089789.
    """
    mean = float(change.mean())
    around = change - mean
    if float((around**3).sum()) < 0:  # resample the mirror image, so that swapping the models draws the same
        mirrored = paired_bootstrap(-change, confidence=confidence)
        return Resampled(low=-mirrored.high, high=-mirrored.low, p=mirrored.p)
    around = np.sort(around)
    drawn = np.sort(_means(around))  # (N_RESAMPLES,) around the mean
    bias = float(ndtri(_share_below(drawn, 0.0)))
    acceleration = float((around**3).sum() / (6 * (around**2).sum() ** 1.5))
    z = float(stdtrit(change.size - 1, (1 + confidence) / 2)) * _expansion(change.size)
    low, high = (_quantile(drawn, side * z, bias, acceleration) for side in (-1, 1))
    shifted = float(ndtri(_share_below(drawn, -mean))) - bias
    level = (shifted / (1 + acceleration * shifted) - bias) / _expansion(change.size)  # at which an end is no change
    return Resampled(low=mean + low, high=mean + high, p=2 * float(stdtr(change.size - 1, -abs(level))))


def _expansion(n: int) -> float:
    return math.sqrt(n / (n - 1))


def _means(around: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = max(1, AT_ONCE // around.size)
    starts = range(0, N_RESAMPLES, rows)
    parts = [_counts(around.size, min(rows, N_RESAMPLES - start), start) @ around for start in starts]
    return np.concatenate(parts) / around.size


@lru_cache(maxsize=2)  # several scores have the same questions
def _counts(n: int, rows: int, seed: int) -> NDArray[np.float64]:
    """Return how often each question is drawn, (rows, N)."""
    drawn = np.random.default_rng(seed).integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def _share_below(drawn: NDArray[np.float64], value: float) -> float:
    """Return the share of resamples below a value, ties by half, never quite 0 or 1."""
    tie = 1e-12 * float(np.ptp(drawn))  # sums of the same numbers in another order
    low, high = np.searchsorted(drawn, [value - tie, value + tie])
    return (float(low + high) / 2 + 0.5) / (drawn.size + 1)


def _quantile(drawn: NDArray[np.float64], z: float, bias: float, acceleration: float) -> float:
    room = 1 - acceleration * (bias + z)
    corrected = bias + (bias + z) / room if room > 0 else math.inf  # asked beyond every resample, by three examples
    return float(np.quantile(drawn, float(ndtr(corrected))))
