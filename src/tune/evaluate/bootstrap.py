"""The paired bootstrap: what the mean change would have been on other draws of the same questions."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

N_RESAMPLES = 4999  # p has steps of 2 / 5000; the ends move by about a hundredth of the interval's width
AT_ONCE = 2_000_000  # numbers drawn at once: 16 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampled:
    """The bootstrap's interval and its test of no change."""

    low: float
    high: float
    p: float


def paired_bootstrap(change: NDArray[np.float64], *, confidence: float) -> Resampled:
    """Return the bias-corrected and accelerated interval of the mean of changes.

    The same changes give the same interval, in whatever order they come; swapping the models mirrors it.

    Args:
        change: (N,) not all equal.
        confidence: Probability that the interval is meant to cover, between 0 and 1.

    Source: Efron 1987, https://doi.org/10.1080/01621459.1987.10478410; for a mean the acceleration is
        sum d^3 / (6 (sum d^2)^(3/2)), d around the mean.
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
    ends = [_quantile(drawn, z, bias, acceleration) for z in ndtri([(1 - confidence) / 2, (1 + confidence) / 2])]
    return Resampled(low=mean + ends[0], high=mean + ends[1], p=_p(drawn, mean, bias, acceleration))


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
    corrected = bias + (bias + z) / (1 - acceleration * (bias + z))
    return float(np.quantile(drawn, float(ndtr(corrected))))


def _p(drawn: NDArray[np.float64], mean: float, bias: float, acceleration: float) -> float:
    """Return the level at which an end of the interval comes to lie on no change."""
    shifted = float(ndtri(_share_below(drawn, -mean))) - bias
    one_sided = float(ndtr(shifted / (1 + acceleration * shifted) - bias))
    return min(1.0, 2 * min(one_sided, 1 - one_sided))
