"""How far fine-tuning moved a score, and how sure we are.

Both models answer the same questions, so their scores are paired: comparing
question by question cancels most of the noise of which questions were drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats would take a second more to import

from tune.errors import EvaluationError
from tune.evaluate.clusters import LEAST, cluster_spread


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

    p: float
    """Probability of a change at least as large, either way, were there none. From 0 to 1."""

    confidence: float = 0.95
    """Probability that the interval is meant to cover."""

    note: str = ""
    """What these scores cannot say, in words; empty where nothing is special."""

    @property
    def direction(self) -> int:
        """Return 1 where the mean is shown to be up, -1 where down, 0 where it is not shown.

        Interval and test must agree: a score interval can leave out zero while the exact test, which promises its rate
        of error for every number of questions, does not reject.
        """
        if self.p > 1 - self.confidence:
            return 0
        return int(self.low > 0) - int(self.high < 0)


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
    change = paired_change(base, tuned)  # (N,)
    stderr = float(change.std(ddof=1)) / math.sqrt(change.size)
    return t_delta(change, stderr, freedom=change.size - 1, confidence=confidence)


def clustered_delta(
    base: NDArray[np.float64], tuned: NDArray[np.float64], clusters: Sequence[str], *, confidence: float = 0.95
) -> Delta:
    """Return the mean change in score when questions come in groups that may move together.

    The mean weighs every question the same. With one question a cluster it equals `paired_delta`.

    Args:
        base: (N,) score of the base model on each question.
        tuned: (N,) score of the adapted model, same questions, same order.
        clusters: (N,) group of each question, for example its MMLU subject.
        confidence: Probability that the interval is meant to cover, between 0 and 1.

    Raises:
        EvaluationError: As for `paired_delta`; or a label is missing, or there are fewer than two clusters.

    Source: see `tune.evaluate.clusters.cluster_spread`.
    """
    change = paired_change(base, tuned)  # (N,)
    spread = cluster_spread(change, clusters)
    return t_delta(change, spread.stderr, freedom=spread.freedom, confidence=confidence)


def paired_change(base: NDArray[np.float64], tuned: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return tuned minus base, (N,), after refusing what cannot be paired.

    Raises:
        EvaluationError: The arrays differ in length, hold fewer than two questions, or hold NaN or infinity.
    """
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


def t_delta(change: NDArray[np.float64], stderr: float, *, freedom: float, confidence: float) -> Delta:
    """Return the mean of (N,) changes with Student's t interval and test."""
    assert 0 < confidence < 1, confidence  # evaluate.confidence is checked with the rest of the configuration
    mean = float(change.mean())
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * stderr
    flat = f"the {change.size} changes show no spread, so nothing tells how sure this is: the interval is a point"
    return Delta(
        mean=mean,
        stderr=stderr,
        low=mean - reach,
        high=mean + reach,
        n=change.size,
        p=student_p(mean, stderr, freedom=freedom),
        confidence=confidence,
        note="" if stderr else flat,
    )


def student_p(mean: float, stderr: float, *, freedom: float) -> float:
    """Return the two-sided p of no change, of a mean with its standard error."""
    if stderr > 0:
        return 2 * float(stdtr(freedom, -abs(mean) / stderr))
    # Without spread there is no t; that all changes, or clusters, fall on one side still has a chance under no change.
    return 1.0 if mean == 0 else float(2 * 0.5 ** (freedom + 1))
