"""Floors under what a search may do to a model, and what an interval says of one."""

from dataclasses import dataclass
from enum import StrEnum


class Judged(StrEnum):
    """What the evidence says of a guard."""

    passed = "passed"
    """Non-inferiority is shown: the whole interval is on the allowed side of the floor."""

    unsure = "unsure"
    """The floor lies inside the interval."""

    failed = "failed"
    """The whole interval is beyond the floor."""


@dataclass(kw_only=True, slots=True)
class GuardConfig:
    """How far a change may go: `{metric: mmlu/delta, at_least: -0.02}`; one of at_least and at_most is set.

    Source: non-inferiority with a margin, Piaggio et al. 2012, https://doi.org/10.1001/jama.2012.87802.
    """

    metric: str
    """A change that comes with an interval: mmlu/delta, general/probe/logprob_delta, task/score_delta …"""

    at_least: float | None = None
    """The change may not be below this, in the metric's own unit."""

    at_most: float | None = None
    """The change may not be above this, in the metric's own unit."""

    @property
    def words(self) -> str:
        """Return the guard as people write it."""
        return (
            f"{self.metric} ≥ {self.at_least:g}" if self.at_least is not None else f"{self.metric} ≤ {self.at_most:g}"
        )

    def judge(self, low: float, high: float) -> Judged:
        """Return what an interval of the change, in the metric's unit, says."""
        worst, best = self.room(low), self.room(high)
        if min(worst, best) >= 0:
            return Judged.passed
        return Judged.failed if max(worst, best) < 0 else Judged.unsure

    def room(self, change: float) -> float:
        """Return how far a change is from the floor; negative beyond it."""
        if self.at_least is not None:
            return change - self.at_least
        assert self.at_most is not None  # tune.config.rules has one of them set
        return self.at_most - change
