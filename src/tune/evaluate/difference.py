"""The one door to a paired difference: the method follows from the kind of score.

right or wrong, one by one        exact McNemar test, Tango's score interval
right or wrong, in clusters       the same interval with the evidence that the clusters leave
any number, one by one            Student's t; where the changes are skewed, the wider end of t and bootstrap
any number, in clusters           t on the effective number of clusters
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from tune.evaluate.binary import binary_delta, no_change_note, score_interval
from tune.evaluate.bootstrap import paired_bootstrap
from tune.evaluate.clusters import Spread, cluster_spread
from tune.evaluate.paired import Delta, clustered_delta, paired_change, paired_delta

SKEWED = 0.1
"""Skewness over sqrt(N) from which t is wrong enough at one end to be asked against the bootstrap.

One tail of a 95 % t interval is off by about 0.085 times this, so by a third of its 2.5 %: Johnson 1978,
https://doi.org/10.1080/01621459.1978.10480051.
"""

MOST = 2.0
"""What an answer in a cluster is worth at most, in answers alone.

Clusters that differ less than chance would have it may count for more than their answers, but not without limit: few
clusters look alike by accident.
"""


def score_delta(
    base: NDArray[np.float64],
    tuned: NDArray[np.float64],
    *,
    clusters: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> Delta:
    """Return the mean change with an interval and a test that fit the scores.

    Args:
        base: (N,) score of the base model, or of one trial, on each question.
        tuned: (N,) score of the adapted model, or of another trial, same questions, same order.
        clusters: (N,) group of each question, where questions of a group may move together.
        confidence: Probability that the interval is meant to cover, between 0 and 1.

    Raises:
        EvaluationError: The arrays differ in length, hold fewer than two questions, NaN or infinity; a cluster's name
            is missing, or there is one cluster only.
    """
    change = paired_change(base, tuned)  # (N,)
    binary = all(bool(((scores == 0) | (scores == 1)).all()) for scores in (base, tuned))
    if clusters is not None and not len(set(clusters)) == len(clusters) == change.size:
        delta = clustered_delta(base, tuned, clusters, confidence=confidence)
        return _clustered_share(change, delta, cluster_spread(change, clusters)) if binary else delta
    if binary:
        return binary_delta(*_flips(change), change.size, confidence=confidence)
    return _skewed(change, paired_delta(base, tuned, confidence=confidence))


def _flips(change: NDArray[np.float64]) -> tuple[int, int]:
    return int(np.count_nonzero(change > 0)), int(np.count_nonzero(change < 0))


def _clustered_share(change: NDArray[np.float64], delta: Delta, spread: Spread) -> Delta:
    """Return the score interval of as many independent answers as would give the clustered standard error.

    Source: Korn and Graubard 1998, Survey Methodology 24(2), 193-201: an effective number of answers in an interval
        for shares, with Student's t on the design's degrees of freedom.
    """
    gained, lost = _flips(change)
    alone = float(change.var(ddof=1)) / change.size
    worth = min(MOST, alone / spread.stderr**2) if spread.stderr else (MOST if alone else 1.0)
    reach = float(stdtrit(spread.freedom, (1 + delta.confidence) / 2))
    low, high = score_interval(gained * worth, lost * worth, change.size * worth, reach=reach)
    if not gained + lost:
        return replace(delta, low=low, high=high, p=1.0, note=no_change_note(change.size))
    score = abs(gained - lost) * math.sqrt(worth / (gained + lost))
    return replace(delta, low=low, high=high, p=2 * float(stdtr(spread.freedom, -score)), note="")


def _skewed(change: NDArray[np.float64], delta: Delta) -> Delta:
    """Return the t interval, each end widened to the bootstrap's where the changes are skewed for their number."""
    if not delta.stderr:
        return delta
    around = change - delta.mean
    skewness = float((around**3).mean() / (around**2).mean() ** 1.5)
    if abs(skewness) <= SKEWED * math.sqrt(change.size):
        return delta
    drawn = paired_bootstrap(change, confidence=delta.confidence)
    return replace(delta, low=min(delta.low, drawn.low), high=max(delta.high, drawn.high), p=max(delta.p, drawn.p))
