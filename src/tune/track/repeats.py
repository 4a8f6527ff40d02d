"""Points that were run with several seeds: their means, and how much of a difference is the seed's alone."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tune.config.guards import Judged
from tune.track.records import StudyRecord, TrialRecord

_LEAST_SEEDS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class PointRecord:
    """One point and its complete trials, a seed each."""

    parameters: dict[str, Any]
    trials: tuple[TrialRecord, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds that have a result."""
        return tuple(trial.seed for trial in self.trials)

    def mean(self, metric: str) -> float:
        """Return a metric's mean over the seeds."""
        return statistics.fmean(self._values(metric))

    def spread(self, metric: str) -> float | None:
        """Return a metric's standard deviation over the seeds; None with one."""
        values = self._values(metric)
        return statistics.stdev(values) if len(values) >= _LEAST_SEEDS else None

    def means(self) -> dict[str, float]:
        """Return the mean of every metric that all its trials have.

        The ends of a change's interval are averaged too: all seeds answer the same questions, so which questions were
        drawn is no smaller an uncertainty for their mean.
        """
        shared = [name for name in self.trials[0].metrics if all(name in trial.metrics for trial in self.trials)]
        return {name: self.mean(name) for name in shared}

    def _values(self, metric: str) -> list[float]:
        return [trial.metrics[metric] for trial in self.trials]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedNoise:
    """How much the seed alone moves the objective."""

    deviation: float
    """Standard deviation between seeds of one point, pooled over the points."""

    n_points: int
    """Points with two or more seeds."""

    freedom: int
    """Degrees of freedom: seeds beyond the first, over all points."""

    quantile: float
    """Of Student's t with that many degrees, for the confidence that was asked for."""

    def least_difference(self, one: int, other: int) -> float:
        """Return by how much the means over so many seeds must differ to be told apart.

        Source: Fisher's least significant difference, t * s * sqrt(1 / n + 1 / m).
        """
        return self.quantile * self.deviation * math.sqrt(1 / one + 1 / other)


def ranked_points(study: StudyRecord) -> list[PointRecord]:
    """Return the points that have a result: those that keep the guards, then most seeds, then the best mean.

    With several objectives the front of the means comes first, then one layer after the other.
    """
    points = _points(study.trials)
    depths = _depths(study, points)

    def rank(at: int) -> tuple[float, ...]:
        point = points[at]
        return depths[at], -len(point.trials), -study.good(point.means())[0], point.trials[0].number

    return [points[at] for at in sorted(range(len(points)), key=rank)]


def best_points(study: StudyRecord) -> list[PointRecord]:
    """Return the best point; with several objectives, all that no other beats, by the first objective."""
    points = ranked_points(study)
    if not study.others:
        return points[:1]
    return [point for point, depth in zip(points, _depths(study, points), strict=True) if depth == 0]


def finalists(study: StudyRecord, n: int) -> list[TrialRecord]:
    """Return the trials that are scored on the test split, best first: of the best n points, each one's first.

    What breaks a guard on the validation split is none of them.
    """
    allowed = [point.trials[0] for point in ranked_points(study) if study.judged(point.means()) is not Judged.failed]
    return allowed[:n]


def front_to_json(study: StudyRecord) -> dict[str, Any]:
    """Return the front for other programs, with the mean of every objective; nothing where there is one objective."""
    if not study.others:
        return {}
    metrics = [objective.metric for objective in study.objectives]
    return {
        "front": [
            {
                "trials": [trial.number for trial in point.trials],
                "parameters": point.parameters,
                "values": {metric: point.mean(metric) for metric in metrics},
            }
            for point in best_points(study)
        ]
    }


def _depths(study: StudyRecord, points: Sequence[PointRecord]) -> list[int]:
    return study.depths([point.means() for point in points], [len(point.trials) for point in points])


def seed_noise(points: Sequence[PointRecord], metric: str, *, confidence: float) -> SeedNoise | None:
    """Return what the seed alone does to a metric; None where no point has two seeds.

    Args:
        points: With their trials.
        metric: The objective.
        confidence: With which two means are to be told apart.
    """
    from scipy.special import stdtrit  # scipy.stats would take a second more to import

    repeated = [point for point in points if len(point.trials) >= _LEAST_SEEDS]
    if not repeated:
        return None
    freedom = sum(len(point.trials) - 1 for point in repeated)
    squares = sum((len(p.trials) - 1) * (p.spread(metric) or 0.0) ** 2 for p in repeated)
    return SeedNoise(
        deviation=math.sqrt(squares / freedom),
        n_points=len(repeated),
        freedom=freedom,
        quantile=float(stdtrit(freedom, (1 + confidence) / 2)),
    )


def _points(trials: Iterable[TrialRecord]) -> list[PointRecord]:
    found: dict[str, dict[int, TrialRecord]] = {}
    for trial in trials:
        if trial.state == "complete":
            found.setdefault(json.dumps(trial.parameters, sort_keys=True), {}).setdefault(trial.seed, trial)
    return [
        PointRecord(parameters=next(iter(seeds.values())).parameters, trials=tuple(seeds.values()))
        for seeds in found.values()
    ]
