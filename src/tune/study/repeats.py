"""Which point is tried again with which seed, and how a sampler sees points that have several results.

A grid, and samplers that do not learn, run every point with every seed of the sweep. A sampler that learns spends
further seeds on contenders alone: a point gets its next seed when its mean so far is among the best third of the points
that have as many; with several objectives they are ordered by their layer below the front. That is asynchronous
successive halving whose rungs are seeds (Li et al. 2018, https://arxiv.org/abs/1810.05934, with eta = 3). What is left
of the study at its end completes the best point, or the points of the front.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tune.config.objective import Direction
from tune.config.schema import Config, Sampler
from tune.study.view import View, through, with_constraints
from tune.track.dominance import layers

ADAPTIVE = frozenset({Sampler.tpe, Sampler.gp, Sampler.cmaes, Sampler.nsga2})
"""Samplers that draw by the results so far."""

_ETA = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """A point that is to run again."""

    parameters: Mapping[str, Any]
    """The sampler's, all of them."""

    seed: int


@dataclass(slots=True)
class _Point:
    """What was tried at one point; the trials of each seed by their last attempt."""

    first: Any
    """The trial that drew it."""

    tried: dict[int, Any] = field(default_factory=dict)

    def complete(self) -> list[Any]:
        """Return the trials that have a result, in their order."""
        return [trial for trial in self.tried.values() if trial.state.name == "COMPLETE"]

    def values(self) -> list[Sequence[float]]:
        """Return the objectives of each seed that has a result, in the order of the trials."""
        return [trial.values for trial in self.complete()]


def first_seed(config: Config) -> int:
    """Return the seed that a new point is run with."""
    assert config.sweep is not None
    return config.sweep.seeds[0] if config.sweep.seeds else config.seed


def next_repeat(trials: Sequence[Any], config: Config, *, n_wanted: int) -> Repeat | None:
    """Return which point is to run again with which seed; None where a new point is to be drawn.

    Args:
        trials: The last attempt at every trial that was begun, without those that were rejected.
        config: Of the study; its sampler has no queue of its own.
        n_wanted: Trials of the study in all.
    """
    assert config.sweep is not None
    seeds = config.sweep.seeds
    points = list(_by_point(trials).values())
    if len(seeds) < 2:  # noqa: PLR2004
        return None
    if config.study.sampler in ADAPTIVE:
        directions = [objective.direction for objective in config.sweep.all_objectives]
        return _contender(points, seeds, directions, n_left=n_wanted - len(trials))
    # Draws, not points: a small space is drawn from more often than it has points.
    n_drawn = sum(trial.user_attrs.get("seed") == seeds[0] for trial in trials)
    if n_drawn * len(seeds) < n_wanted:
        return None
    missing = [(seed, point) for seed in seeds for point in points if seed not in point.tried and _can_run(point)]
    return _repeat(missing[0][1], missing[0][0]) if missing else None


def _contender(
    points: Sequence[_Point], seeds: Sequence[int], directions: Sequence[Direction], *, n_left: int
) -> Repeat | None:
    for n in range(len(seeds) - 1, 0, -1):
        rung = _best_first([point for point in points if len(point.values()) >= n], n, directions)
        promoted = [point for _, point in rung[: len(rung) // _ETA] if len(point.tried) == n]
        if promoted:
            return _repeat(promoted[0], _untried(promoted[0], seeds)[0])
    scored = _best_first([point for point in points if point.values()], len(seeds), directions)
    missing = [(point, seed) for depth, point in scored if depth == 0 for seed in _untried(point, seeds)]
    return _repeat(*missing[0]) if missing and n_left <= len(missing) else None


def _best_first(points: Sequence[_Point], n: int, directions: Sequence[Direction]) -> list[tuple[int, _Point]]:
    """Return how many layers lie above each point, by the means over its first n results, and the point, best first."""
    signs = [1 if direction is Direction.maximize else -1 for direction in directions]
    means = [[sign * mean for sign, mean in zip(signs, _means(point.values()[:n]), strict=True)] for point in points]
    beyond = [sum(max(0.0, value) for value in _mean_constraints(point.complete()[:n]).values()) for point in points]
    places = range(len(points))
    if len(directions) == 1:
        return list(enumerate(points[at] for at in sorted(places, key=lambda at: (beyond[at], -means[at][0]))))
    depths = layers(means, [len(point.values()[:n]) for point in points])
    order = sorted(places, key=lambda at: (beyond[at], depths[at], -means[at][0]))
    return [(depths[at], points[at]) for at in order]


def _means(values: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of each objective."""
    return [statistics.fmean(each) for each in zip(*values, strict=True)]


def _untried(point: _Point, seeds: Sequence[int]) -> list[int]:
    return [seed for seed in seeds if seed not in point.tried]


def _can_run(point: _Point) -> bool:
    """Return whether it is worth another seed; what needed too much memory would again."""
    return all(trial.state.name != "PRUNED" for trial in point.tried.values())


def _repeat(point: _Point, seed: int) -> Repeat:
    return Repeat(parameters=dict(point.first.params), seed=seed)


def _by_point(trials: Sequence[Any]) -> dict[str, _Point]:
    """Return the points in the order in which they were drawn; a claim that was cut off before it drew has none."""
    points: dict[str, _Point] = {}
    for trial in trials:
        if "point" in trial.user_attrs:
            key = json.dumps(trial.user_attrs["point"], sort_keys=True)
            points.setdefault(key, _Point(first=trial)).tried[trial.user_attrs["seed"]] = trial
    return points


def over_means(sampler: Any, trials_of: Any) -> Any:
    """Return a sampler for which a point is one trial, with the means over its seeds for its values.

    Args:
        sampler: Optuna's, which chooses.
        trials_of: Returns, of Optuna's trials, the last attempt at each that was begun.
    """
    return through(sampler, lambda study: View(study, lambda every: _points_of(every, trials_of)))


def _points_of(every: Sequence[Any], trials_of: Any) -> list[Any]:
    """Return the points; one that waits, or was just asked for, as it is."""
    seen = [_mean(point) for point in _by_point(trials_of(every)).values()]
    begun = {trial.number for trial in seen}
    seen += [trial for trial in every if "point" not in trial.user_attrs and trial.number not in begun]
    return sorted(seen, key=lambda trial: trial.number)


def _mean(point: _Point) -> Any:
    trial = next((trial for trial in point.tried.values() if trial.state.name == "COMPLETE"), point.first)
    if trial.state.name != "COMPLETE":
        return trial
    seen = with_constraints(trial, _mean_constraints(point.complete()))
    seen.values = _means(point.values())
    return seen


def _mean_constraints(trials: Sequence[Any]) -> dict[str, float]:
    """Return how far a point is beyond each guard, on average over its seeds."""
    return {name: statistics.fmean(trial.constraints[name] for trial in trials) for name in trials[0].constraints}
