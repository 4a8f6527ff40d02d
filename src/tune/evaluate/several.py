"""Several trials on the same examples: which of them differ, and which is the cheapest that does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune.errors import EvaluationError
from tune.evaluate.difference import score_delta
from tune.evaluate.paired import Delta
from tune.evaluate.span import POINTS, span


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values that may each be held against one level, however many there are.

    Of m, sorted, the k-th smallest is multiplied by m - k + 1, made no smaller than the one before, and cut at 1.

    Raises:
        EvaluationError: One is NaN or not between 0 and 1.

    Source: Holm 1979, https://www.jstor.org/stable/4615733.
    """
    p = np.asarray(p_values, dtype=np.float64)  # (M,)
    if not ((p >= 0) & (p <= 1)).all():
        msg = f"cannot correct p-values {list(p_values)}: each must lie between 0 and 1. Leave out what has none."
        raise EvaluationError(msg)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return tuple(adjusted.tolist())


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A trial as it is weighed against others."""

    name: str
    """As the user knows it: r=8, trial 3."""

    scores: NDArray[np.float64]
    """(N,) score of each example; the mean over seeds where there are several."""

    cost: float
    """What makes it cheaper: trainable parameters, or the rank."""

    ids: tuple[str, ...]
    """(N,) which example each score belongs to."""

    clusters: tuple[str, ...] | None = None
    """(N,) group of each example, where examples of a group may move together."""

    fingerprint: str = ""
    """How the scores were measured; two that differ are never compared."""

    @property
    def mean(self) -> float:
        """Return the mean score."""
        return float(self.scores.mean())


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """Two trials compared."""

    delta: Delta
    """First minus second."""

    take: str
    """Name of the one to take: the better, or the cheaper where neither is shown to be better."""

    words: str
    """The same in a line."""


def tell_apart(first: Candidate, second: Candidate, *, confidence: float = 0.95, scale: float = POINTS) -> Told:
    """Return what the examples say of two trials, and which one to take.

    The interval is of the examples that were drawn, not of the seed: another training of either may differ by more.

    Args:
        first: The one that the difference is of.
        second: The one that it is taken against.
        confidence: Probability that the interval is meant to cover, between 0 and 1.
        scale: What scores are multiplied by in the words; 100 makes points of shares.

    Raises:
        EvaluationError: The two were scored on different examples or measured differently; or as `score_delta`.
    """
    delta = difference(first, second, confidence=confidence)
    if delta.direction:
        take = first if delta.direction > 0 else second
        said = f"{'better' if delta.direction > 0 else 'worse'}; take {take.name}"
    elif first.cost == second.cost:
        take = first if first.mean >= second.mean else second
        said = f"not distinguishable and of the same cost; take either, say {take.name}"
    else:
        take = min(first, second, key=lambda one: one.cost)
        said = f"not distinguishable; take {take.name}"
    return Told(delta=delta, take=take.name, words=f"{first.name} against {second.name}: {span(delta, scale)}, {said}")


def difference(first: Candidate, second: Candidate, *, confidence: float) -> Delta:
    """Return first minus second.

    Raises:
        EvaluationError: As for `tell_apart`.
    """
    if first.fingerprint != second.fingerprint:
        msg = (
            f"{first.name} and {second.name} were not measured alike (fingerprints {first.fingerprint[:12]} and "
            f"{second.fingerprint[:12]}), so no difference can be given. Measure both with the same settings."
        )
        raise EvaluationError(msg)
    if first.ids != second.ids:
        shared = len({*first.ids} & {*second.ids})
        msg = (
            f"{first.name} was scored on {len(first.ids)} examples and {second.name} on {len(second.ids)}, of which "
            f"{shared} are the same: all must be, in one order. Score both on the same split."
        )
        raise EvaluationError(msg)
    for one in (first, second):
        bad = int(np.count_nonzero(~np.isfinite(one.scores)))
        if bad:
            msg = (
                f"{bad} of {one.scores.size} scores of {one.name} are NaN or infinite, all must be finite. "
                "It has diverged; leave it out."
            )
            raise EvaluationError(msg)
    return score_delta(second.scores, first.scores, clusters=first.clusters, confidence=confidence)
