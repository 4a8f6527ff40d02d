"""Values for points that have none, for samplers that look at complete trials alone.

TPE has a place for pruned trials and for those that break a constraint. GP and CMA-ES pass over them, and GP would
propose a point that was pruned or did not fit again and again: nothing that it sees says that the place is bad.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tune.study.view import View, through, with_constraints


def valuing(sampler: Any, *, infeasible: bool) -> Any:
    """Return a sampler that sees a pruned trial with the objective of its like.

    That is the complete trial whose loss at the same measurement was nearest. A loss on the way cannot stand for the
    objective itself: it may be an accuracy, and where it is a loss, a training goes on to lower it.

    Args:
        sampler: Optuna's, which chooses.
        infeasible: Whether it is also shown what was rejected or did not fit, with the worst objective so far.
    """
    return through(sampler, lambda study: View(study, lambda every: _valued(every, study.directions, infeasible)))


def _valued(every: Sequence[Any], directions: Sequence[Any], infeasible: bool) -> list[Any]:
    complete = [trial for trial in every if trial.state.name == "COMPLETE"]
    seen = [_with_value(trial, complete, directions, infeasible) for trial in every]
    return seen if infeasible else [_guarded(trial, complete, directions) for trial in seen]


def _with_value(trial: Any, complete: Sequence[Any], directions: Sequence[Any], infeasible: bool) -> Any:
    if trial.state.name != "PRUNED" or not complete:
        return trial
    if trial.constraints:
        return _complete(trial, _worst(complete, directions), _furthest(complete)) if infeasible else trial
    if not trial.intermediate_values:
        return trial
    index, loss = max(trial.intermediate_values.items())
    if not math.isfinite(loss):
        return _complete(trial, _worst(complete, directions), _furthest(complete))
    alike = [other for other in complete if math.isfinite(other.intermediate_values.get(index, math.nan))]
    if not alike:
        return trial
    nearest = min(alike, key=lambda other: (abs(other.intermediate_values[index] - loss), other.number))
    return _complete(trial, list(nearest.values), nearest.constraints)


def _worst(complete: Sequence[Any], directions: Sequence[Any]) -> list[float]:
    values = zip(*(trial.values for trial in complete), strict=True)
    return [
        max(each) if direction.name == "MINIMIZE" else min(each)
        for each, direction in zip(values, directions, strict=True)
    ]


def _guarded(trial: Any, complete: Sequence[Any], directions: Sequence[Any]) -> Any:
    """Return a trial beyond a guard with the worst objective, for a sampler that knows no constraints."""
    if trial.state.name != "COMPLETE" or all(value <= 0 for value in trial.constraints.values()):
        return trial
    return _complete(trial, _worst(complete, directions), {})


def _furthest(complete: Sequence[Any]) -> dict[str, float]:
    """Return, guard by guard, how far the furthest trial is beyond it: GP wants all of them for each."""
    return {name: max(trial.constraints[name] for trial in complete) for name in complete[0].constraints}


def _complete(trial: Any, values: list[float], constraints: Mapping[str, float]) -> Any:
    seen = with_constraints(trial, constraints)
    seen.state = type(trial.state).COMPLETE
    seen.values = values
    return seen
