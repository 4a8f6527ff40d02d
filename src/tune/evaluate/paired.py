"""How far fine-tuning moved a score, and how sure we are.

Both models answer the same questions, so their scores are paired: comparing
question by question cancels most of the noise of which questions were drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # quantile of Student's t; scipy.stats would take a second more to import

from tune.errors import EvaluationError

LEAST = 2  # one question, or one subject, says nothing about its spread


@dataclass(frozen=True, kw_only=True, slots=True)
class Delta:
    """Adapted minus base on the same questions, with its interval."""

    mean: float
    """Mean change, in the unit of the score."""

    stderr: float
    """Standard error of the mean change."""

    low: float
    """Lower end of the interval."""

    high: float
    """Upper end of the interval."""

    n: int
    """Questions that were compared."""


def paired_delta(base: NDArray[np.float64], tuned: NDArray[np.float64], *, confidence: float = 0.95) -> Delta:
    """Return the mean change in score, its standard error and its t interval.

    Args:
        base: (N,) score of the base model on each question.
        tuned: (N,) score of the adapted model, same questions, same order.
        confidence: Probability that the interval is meant to cover, between 0 and 1.

    Raises:
        EvaluationError: The arrays differ in length, hold fewer than two questions, or hold NaN or infinity.

    Source: Miller 2024, https://arxiv.org/abs/2411.00640, paired differences; Student's t with N - 1
        degrees of freedom.
    """
    change = _change(base, tuned)  # (N,)
    stderr = float(change.std(ddof=1)) / math.sqrt(change.size)
    return _interval(change, stderr, freedom=change.size - 1, confidence=confidence)


def clustered_delta(
    base: NDArray[np.float64], tuned: NDArray[np.float64], clusters: Sequence[str], *, confidence: float = 0.95
) -> Delta:
    """Return the mean change in score when questions come in groups that may move together.

    The standard error is sqrt(G / (G - 1) x sum over clusters of (sum of d - mean d)^2) / N. The mean weighs
    every question the same. With one question a cluster it equals `paired_delta`.

    Args:
        base: (N,) score of the base model on each question.
        tuned: (N,) score of the adapted model, same questions, same order.
        clusters: (N,) group of each question, for example its MMLU subject.
        confidence: Probability that the interval is meant to cover, between 0 and 1.

    Raises:
        EvaluationError: As for `paired_delta`; or a label is missing, or there are fewer than two clusters.

    Source: Miller 2024, https://arxiv.org/abs/2411.00640, clustered standard errors; the factor G / (G - 1) and
        t with G - 1 degrees of freedom from Cameron and Miller 2015, https://doi.org/10.3368/jhr.50.2.317.
    """
    change = _change(base, tuned)  # (N,)
    if len(clusters) != change.size:
        msg = (
            f"cannot group {change.size} scores by {len(clusters)} cluster names: each question needs one. "
            "Take base, tuned and clusters from the same questions."
        )
        raise EvaluationError(msg)
    names, member = np.unique(np.asarray(clusters), return_inverse=True)  # (G,), (N,)
    if names.size < LEAST:
        msg = (
            f"cannot judge a change from one cluster ({names[0]}): need two or more subjects. "
            "Ask more subjects, or compare question by question."
        )
        raise EvaluationError(msg)
    sums = np.bincount(member, weights=change - change.mean())  # (G,)
    inflation = names.size / (names.size - 1)
    stderr = math.sqrt(inflation * float(sums @ sums)) / change.size
    return _interval(change, stderr, freedom=names.size - 1, confidence=confidence)


def _change(base: NDArray[np.float64], tuned: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return tuned minus base, (N,), after refusing what cannot be paired."""
    if base.shape != tuned.shape or base.size < LEAST:
        msg = (
            f"cannot pair {base.size} base scores with {tuned.size} tuned scores: "
            "need the same two or more questions. Evaluate both with the same evaluate.limit."
        )
        raise EvaluationError(msg)
    assert base.ndim == 1, f"one score a question, got shape {base.shape}"
    for name, scores in (("base", base), ("tuned", tuned)):
        bad = int(np.count_nonzero(~np.isfinite(scores)))
        if bad:
            msg = (
                f"cannot pair scores: {bad} of {scores.size} {name} scores are NaN or infinite, all must be finite. "
                f"The {name} model has diverged; lower train.learning_rate or leave the trial out."
            )
            raise EvaluationError(msg)
    return np.asarray(tuned, dtype=np.float64) - np.asarray(base, dtype=np.float64)


def _interval(change: NDArray[np.float64], stderr: float, *, freedom: int, confidence: float) -> Delta:
    assert 0 < confidence < 1, confidence  # evaluate.confidence is checked with the rest of the configuration
    mean = float(change.mean())
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * stderr
    return Delta(mean=mean, stderr=stderr, low=mean - reach, high=mean + reach, n=change.size)
