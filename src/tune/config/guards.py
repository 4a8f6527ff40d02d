"""Floors under what a search may do to a model, and what an interval says of one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tune.errors import nearest

UNGUARDED = "no guard is named (sweep.guards), so what it forgot is reported and not judged"
"""Belongs to the reasons of a verdict that no guard had a part in."""


class Judged(StrEnum):
    """What the evidence says of a guard."""

    passed = "passed"
    """Non-inferiority is shown: the whole interval is on the allowed side of the floor."""

    unsure = "unsure"
    """The floor lies inside the interval."""

    failed = "failed"
    """The whole interval is beyond the floor."""

    @property
    def word(self) -> str:
        """Return what people are told."""
        return {Judged.passed: "kept", Judged.unsure: "unsure", Judged.failed: "BROKEN"}[self]


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

    def judge_metrics(self, metrics: Mapping[str, float]) -> Judged:
        """Return what a trial's metrics say; the ends of the interval stand beside the change."""
        return self.judge(metrics[f"{self.metric}_low"], metrics[f"{self.metric}_high"])

    def room(self, change: float) -> float:
        """Return how far a change is from the floor; negative beyond it."""
        if self.at_least is not None:
            return change - self.at_least
        assert self.at_most is not None  # tune.config.rules has one of them set
        return self.at_most - change


def judge_all(guards: Sequence[GuardConfig], metrics: Mapping[str, float]) -> Judged:
    """Return the worst of what the guards say; passed where there is none."""
    worst_first = (Judged.failed, Judged.unsure)
    said = {guard.judge_metrics(metrics) for guard in guards}
    return next((judged for judged in worst_first if judged in said), Judged.passed)


def impossible_guards(guards: Sequence[GuardConfig], known: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for every guard that cannot be judged.

    Args:
        guards: Of the sweep.
        known: Metrics that a trial reports.
    """
    changes = [name for name in known if f"{name}_low" in known and f"{name}_high" in known]
    for guard in guards:
        if guard.metric not in changes:
            yield (
                f"sweep.guards: metric={guard.metric} is no change with an interval that trials report. "
                f"{nearest(guard.metric, changes)}"
            )
        if (guard.at_least is None) == (guard.at_most is None):
            yield (
                f"sweep.guards: {guard.metric} has at_least={guard.at_least} and at_most={guard.at_most}: set one of "
                "them, as in {metric: mmlu/delta, at_least: -0.02}."
            )
    named = [guard.metric for guard in guards]
    for metric in sorted({metric for metric in named if named.count(metric) > 1}):
        yield f"sweep.guards names {metric} {named.count(metric)} times: one guard a metric."
