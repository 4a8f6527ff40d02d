"""SHIP, NO or INSUFFICIENT: what the task's change and the guards' changes allow one to say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy.special import ndtr, ndtri

from tune.config.guards import GuardConfig, Judged
from tune.evaluate.paired import Delta
from tune.evaluate.span import POINTS, span

POWER = 0.8
"""Probability that as many examples as are asked for would show a difference as large as the one seen."""

ABOUT_NOTHING = 0.25
"""Standard errors below which a difference is no ground to plan on: over a hundred times the examples would do."""


class Verdict(StrEnum):
    """What the evidence allows one to say of an adapter."""

    ship = "SHIP"
    """The task is better and every guard is kept."""

    no = "NO"
    """The task is worse, or a guard is broken."""

    insufficient = "INSUFFICIENT"
    """Neither is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedGuard:
    """A guard and the change it is about."""

    guard: GuardConfig

    delta: Delta | None
    """The change, in the metric's unit; None where it could not be measured."""

    @property
    def judged(self) -> Judged:
        """Return what the interval says."""
        return Judged.unsure if self.delta is None else self.guard.judge(self.delta.low, self.delta.high)

    @property
    def p(self) -> float:
        """Return twice the probability of so good a change were its mean on the limit; 1 beyond it or unmeasured.

        The spread is that of the interval's worse half, so that p falls below one minus the confidence just where the
        whole interval is on the allowed side.
        """
        if self.delta is None:
            return 1.0
        room, *ends = (self.guard.room(change) for change in (self.delta.mean, self.delta.low, self.delta.high))
        half = room - min(ends)
        if room <= 0 or not half:
            return float(room < 0 or (room == 0 and half > 0))
        return 2 * float(ndtr(-room / half * ndtri((1 + self.delta.confidence) / 2)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A verdict and what it rests on."""

    verdict: Verdict

    reasons: tuple[str, ...]
    """In plain words, the task's first."""

    more_examples: int | None
    """About how many more would settle what is open; None where nothing is open, or where it cannot be said."""

    p: float
    """Of all that SHIP needs, the largest: that the task is no better, or that a guard's change is beyond its limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Open:
    """What is not settled: its examples, of which `more` would do."""

    words: str
    more: int | None


def verdict(task: Delta, guards: Sequence[JudgedGuard], *, scale: float = POINTS) -> Decision:
    """Return what may be said of an adapter.

    An adapter that is no better than its base is told to ship in at most (1 - confidence) / 2 of the cases, one that
    breaks a guard as rarely: each is one end of an interval.

    Args:
        task: Change of the task's score, adapted minus base, higher is better.
        guards: Each guard with its change.
        scale: What the task's score is multiplied by in the words; 100 makes points of shares.
    """
    still = [_task_open(task)] if not task.direction else []
    still += [_guard_open(one) for one in guards if one.judged is Judged.unsure]
    p = max([task.p, *(one.p for one in guards)])
    reasons = (_task_words(task, scale), *(_guard_words(one) for one in guards), *(one.words for one in still))
    if task.direction < 0 or any(one.judged is Judged.failed for one in guards):
        return Decision(verdict=Verdict.no, reasons=reasons, more_examples=None, p=p)
    if not still:
        return Decision(verdict=Verdict.ship, reasons=reasons, more_examples=None, p=p)
    needs = [one.more for one in still]
    more = None if None in needs else max(need for need in needs if need is not None)
    return Decision(verdict=Verdict.insufficient, reasons=reasons, more_examples=more, p=p)


def more_examples(delta: Delta, room: float) -> int | None:
    """Return how many more examples would show, in four cases of five, that a change lies on its side of a line.

    Args:
        delta: The change as seen; its standard error tells the spread of one example.
        room: Distance of the mean from the line, in the same unit.

    Returns:
        Rounded up to two digits; None where the distance is about zero or nothing spreads, so that nothing follows.

    Source: the normal approximation, ((z of the confidence + z of the power) x standard deviation / distance)^2.
    """
    if not delta.stderr or abs(room) < ABOUT_NOTHING * delta.stderr:
        return None
    reach = float(ndtri((1 + delta.confidence) / 2) + ndtri(POWER))
    more = max(1.0, delta.n * (reach * delta.stderr / room) ** 2 - delta.n)
    digit = 10.0 ** max(0, math.floor(math.log10(more)) - 1)
    return int(math.ceil(more / digit) * digit)


def _task_words(task: Delta, scale: float) -> str:
    how = {1: "better", 0: "not distinguishable from the base", -1: "worse"}[task.direction]
    words = f"the task is {how}: {span(task, scale)} on {task.n} examples"
    if not task.direction and (task.low > 0 or task.high < 0):
        words += f"; the interval leaves out zero, but the exact test does not agree (p = {task.p:.2g})"
    return f"{words}; {task.note}" if task.note else words


def _task_open(task: Delta) -> _Open:
    more = more_examples(task, task.mean)
    if more is None:
        return _Open(
            words="how many more examples would settle the task cannot be said: the change is about zero", more=more
        )
    return _Open(words=f"about {more:,} more examples would settle the task, were the change as seen", more=more)


def _guard_words(one: JudgedGuard) -> str:
    if one.delta is None:
        return f"guard {one.guard.words}: it could not be measured"
    how = {Judged.passed: "kept", Judged.failed: "broken", Judged.unsure: "not settled"}[one.judged]
    delta = one.delta
    return f"guard {one.guard.words} is {how}: {delta.mean:+.3g} [{delta.low:.3g}, {delta.high:.3g}]"


def _guard_open(one: JudgedGuard) -> _Open:
    more = None if one.delta is None else more_examples(one.delta, one.guard.room(one.delta.mean))
    name = one.guard.words
    if one.delta is None:
        return _Open(words=f"measure {one.guard.metric} to settle {name}", more=None)
    if more is None:
        return _Open(
            words=f"how many more examples would settle {name} cannot be said: the change is about there", more=None
        )
    return _Open(words=f"about {more:,} more examples of it would settle {name}, were the change as seen", more=more)
