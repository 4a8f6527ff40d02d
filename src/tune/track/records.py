"""A study as it stands: what its storage knows of each trial, in plain data that reports are made from."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tune.config.guards import GuardConfig, Judged, judge_all
from tune.track.dominance import layers
from tune.track.finals import FinalRecord, VerdictRecord

ENDED = ("complete", "pruned", "infeasible", "failed")
STATES = ("waiting", "running", *ENDED)
_ORDER = (Judged.passed, Judged.unsure, Judged.failed)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRecord:
    """One trial."""

    number: int
    state: str
    """waiting, running, complete, pruned, infeasible or failed."""

    reason: str | None
    """Why it has no result, in one word."""

    message: str
    """Why it failed, in a sentence."""

    seed: int
    parameters: dict[str, Any]
    """What varies, by key, with the values that were run."""

    metrics: dict[str, float]
    run_id: str | None
    """Its run in MLflow."""

    notes: tuple[str, ...]
    """What was left out or chosen on the way."""

    command: str
    """Repeats it."""

    pruned_step: int | None = None
    """Optimizer step after which the study's pruner stopped it; its last validation loss is eval/step_loss."""

    attempt: int = 1
    """The how-manyth attempt at it this is."""

    worker: str | None = None
    """Who runs it, or ran it: host, process id and the process's start."""

    started: float | None = None
    """When this attempt was claimed, in seconds since 1970."""

    doing: str = ""
    """What a running trial is at, for example `train 12/40`."""

    @property
    def cost(self) -> dict[str, float]:
        """Return its costs by name: seconds, peak_gib, trainable_params, trainable_share, train_tokens."""
        return {name[5:]: value for name, value in self.metrics.items() if name.startswith("cost/")}


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveRecord:
    """One number that a study is about."""

    metric: str
    direction: str
    """maximize or minimize."""

    def good(self, metrics: Mapping[str, float]) -> float:
        """Return its value so that more is better."""
        value = metrics[self.metric]
        return value if self.direction == "maximize" else -value


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRecord:
    """One study."""

    name: str
    question: str
    metric: str
    """The objective; of several, the first."""

    direction: str
    """maximize or minimize."""

    n_trials: int
    """How many are wanted in all."""

    confidence: float
    """Probability that its intervals are meant to cover."""

    run_id: str | None
    """Its parent run in MLflow."""

    trials: tuple[TrialRecord, ...]

    others: tuple[ObjectiveRecord, ...] = ()
    """Further objectives, where there are several."""

    guards: tuple[GuardConfig, ...] = ()
    """How far changes may go; what keeps them comes first."""

    finalists: tuple[int, ...] = ()
    """Trials that are scored on the test split, best first."""

    finals: tuple[FinalRecord, ...] = ()
    """What they scored, as far as they have been."""

    named_first: int | None = None
    """The finalist that was the best when the test split was looked at for the first time; None before that."""

    looked_at: tuple[FinalRecord, ...] = ()
    """What further trials scored on the test split, that were finalists before the study went on."""

    verdict: VerdictRecord | None = None
    """What may be said at its end; None before it."""

    seeds: tuple[int, ...] = ()
    """Seeds that every point is to be run with; none where each has the trial's own."""

    n_rejected: int = 0
    """Points that were drawn and not run, because the sweep rejects them; not among the trials."""

    budget_s: float | None = None
    """Seconds that it may run, over all its starts; None: no limit."""

    spent_s: float = 0.0
    """Seconds that it ran, over all its starts."""

    @property
    def is_out_of_budget(self) -> bool:
        """Return whether its time is used and trials are left."""
        return self.budget_s is not None and self.spent_s >= self.budget_s and self.done < self.n_trials

    def counts(self) -> dict[str, int]:
        """Return how many trials are in each state."""
        return {state: sum(trial.state == state for trial in self.trials) for state in STATES}

    @property
    def done(self) -> int:
        """Return how many trials have ended."""
        return sum(trial.state in ENDED for trial in self.trials)

    @property
    def objectives(self) -> tuple[ObjectiveRecord, ...]:
        """Return all that it is about: one, or several."""
        return (ObjectiveRecord(metric=self.metric, direction=self.direction), *self.others)

    @property
    def aim(self) -> str:
        """Return what it is about, in words."""
        return ", ".join(f"{objective.direction} {objective.metric}" for objective in self.objectives)

    def good(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Return the values of all objectives so that more is better."""
        return tuple(objective.good(metrics) for objective in self.objectives)

    def judged(self, metrics: Mapping[str, float]) -> Judged:
        """Return what the guards say of a trial's metrics, or of the means of a point's."""
        return judge_all(self.guards, metrics)

    def depths(self, results: Sequence[Mapping[str, float]], weights: Sequence[int] | None = None) -> list[int]:
        """Return how many layers lie above each result: first what keeps the guards, then what may, then what does not.

        Args:
            results: Metrics of trials or points.
            weights: How many trials each is the mean of; the same of all if not given.
        """
        counts = weights or [1] * len(results)
        found, above = [0] * len(results), 0
        for judged in _ORDER:
            places = [at for at, metrics in enumerate(results) if self.judged(metrics) is judged]
            values = [self.good(results[at]) for at in places]
            depths = layers(values, [counts[at] for at in places]) if self.others else [0] * len(places)
            for at, depth in zip(places, depths, strict=True):
                found[at] = above + depth
            above += max(depths, default=-1) + 1
        return found

    def ranked(self) -> list[TrialRecord]:
        """Return the complete trials, best first: those that keep the guards, and of them the best objective.

        With several objectives the front, then one layer after the other.
        """
        complete = [trial for trial in self.trials if trial.state == "complete"]
        depths = self.depths([trial.metrics for trial in complete])
        ranks = {t.number: (d, -self.good(t.metrics)[0]) for t, d in zip(complete, depths, strict=True)}
        return sorted(complete, key=lambda trial: (*ranks[trial.number], trial.number))

    def without_result(self) -> list[TrialRecord]:
        """Return the trials that ended and have nothing to show: the holes of a grid."""
        return [trial for trial in self.trials if trial.state in {"failed", "infeasible"}]

    def pruned(self) -> list[TrialRecord]:
        """Return the trials that the study's pruner stopped."""
        return [trial for trial in self.trials if trial.state == "pruned"]

    def seconds_left(self) -> float | None:
        """Return a guess at how long the study still takes; None while no trial has ended or none runs.

        The median trial, because the first one may have waited for the base to be measured; one that runs is half done.
        """
        costs = [trial.metrics["cost/seconds"] for trial in self.trials if trial.state == "complete"]
        n_running = self.counts()["running"]
        if not costs or not n_running:
            return None
        return statistics.median(costs) * (self.n_trials - self.done - n_running / 2) / n_running

    def _judged_json(self, trial: TrialRecord) -> dict[str, Any]:
        if trial.state != "complete" or not self.guards:
            return {}
        return {"guards": {guard.metric: guard.judge_metrics(trial.metrics).value for guard in self.guards}}

    def to_json(self) -> dict[str, Any]:
        """Return the stable form for other programs."""
        trials = [{**asdict(trial), **self._judged_json(trial), "cost": trial.cost} for trial in self.trials]
        aims = [asdict(objective) for objective in self.objectives]
        return {
            "study": self.name,
            **({"objectives": aims} if self.others else {"objective": aims[0]}),
            "n_trials": self.n_trials,
            "seeds": list(self.seeds),
            "guards": [asdict(guard) for guard in self.guards],
            "n_rejected": self.n_rejected,
            "budget_s": self.budget_s,
            "spent_s": self.spent_s,
            "states": self.counts(),
            "run_id": self.run_id,
            "verdict": asdict(self.verdict) if self.verdict else None,
            "finals": [final.to_json() for final in self.finals],
            "trials": trials,
        }


def duration(seconds: float) -> str:
    """Return a time as people say it: 40 s, 12 min, 3.5 h."""
    if seconds < 90:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004
