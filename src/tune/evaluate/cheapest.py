"""Which rank do I need: the cheapest trial that is not significantly worse than the best."""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtri

from tune.errors import EvaluationError
from tune.evaluate.paired import Delta
from tune.evaluate.several import Candidate, difference, holm
from tune.evaluate.span import POINTS, signed, span


@dataclass(frozen=True, kw_only=True, slots=True)
class Against:
    """A candidate against the best one."""

    name: str

    delta: Delta
    """This one minus the best."""

    p: float
    """Holm's, over all comparisons with the best."""

    worse: bool
    """Shown to be worse than the best, after the correction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The cheapest that is not worse, and what that rests on."""

    take: str
    """Name of the one to take."""

    best: str
    """Name of the one with the highest mean."""

    against: tuple[Against, ...]
    """All but the best, cheapest first."""

    resolution: float
    """Smallest difference from the best that these examples can show, in the unit of the score."""

    words: str


def cheapest_not_worse(candidates: Sequence[Candidate], *, confidence: float = 0.95, scale: float = POINTS) -> Choice:
    """Return the cheapest candidate that is not shown to be worse than the best.

    The best is found on the same examples, which favours it. Correcting over all K - 1 comparisons pays for that: that
    the right answer is wrongly called worse happens in at most (1 - confidence) of the studies. That it is not worse by
    little is not shown; `resolution` says what would have been seen.

    Args:
        candidates: Trials of different cost, scored on the same examples.
        confidence: One minus the rate of error.
        scale: What scores are multiplied by in the words; 100 makes points of shares.

    Raises:
        EvaluationError: There is no candidate; or as `tell_apart`.
    """
    if not candidates:
        msg = "no trial can be chosen from none: none has scores. Look at why they failed in the report."
        raise EvaluationError(msg)
    ordered = sorted(candidates, key=lambda one: one.cost)
    best = max(ordered, key=lambda one: one.mean)  # the cheaper of two that are as good
    others = [one for one in ordered if one is not best]
    deltas = [difference(one, best, confidence=confidence) for one in others]
    against = tuple(
        Against(name=one.name, delta=delta, p=p, worse=delta.direction < 0 and p <= 1 - confidence)
        for one, delta, p in zip(others, deltas, holm([delta.p for delta in deltas]), strict=True)
    )
    worse = [one for one, found in zip(others, against, strict=True) if found.worse]
    take = next(one for one in ordered if not any(one is loser for loser in worse))
    reach = _resolution(deltas, confidence)
    sentences = [_choice(take, best, against, scale), *_worse(against, scale), *_limits(ordered, take, reach, scale)]
    return Choice(take=take.name, best=best.name, against=against, resolution=reach, words=" ".join(sentences))


def _resolution(deltas: Sequence[Delta], confidence: float) -> float:
    """Return the half width of the widest interval, at the level of the first of Holm's steps."""
    if not deltas:
        return 0.0
    wider = float(ndtri(1 - (1 - confidence) / (2 * len(deltas))) / ndtri((1 + confidence) / 2))
    return wider * max(delta.high - delta.low for delta in deltas) / 2


def _choice(take: Candidate, best: Candidate, against: Sequence[Against], scale: float) -> str:
    if not against:
        return f"Take {take.name}: it is the only one, so nothing was compared."
    if take is best:
        return f"Take {take.name}: it has the highest mean, and no cheaper one comes up to it."
    own = next(one.delta for one in against if one.name == take.name)
    return f"Take {take.name}: the cheapest not significantly worse than the best, {best.name} ({span(own, scale)})."


def _worse(against: Sequence[Against], scale: float) -> list[str]:
    told = [f"{one.name} {span(one.delta, scale)}, p = {one.p:.2g}" for one in against if one.worse]
    return [f"Worse than the best: {'; '.join(told)} (corrected over {len(against)} comparisons)."] if told else []


def _limits(ordered: Sequence[Candidate], take: Candidate, reach: float, scale: float) -> list[str]:
    cheapest = ["Nothing cheaper was tried."] if take is ordered[0] else []
    if len(ordered) == 1:
        return cheapest
    unit = " points" if scale == POINTS else ""
    seen = f"±{signed(reach * scale)}{unit}"
    return [*cheapest, f"{take.scores.size} examples can show differences of about {seen} only, no smaller ones."]
