"""Which trial is next, and how it ended: the only writers of the study's trials."""

import hashlib
import os
import shlex
from dataclasses import dataclass
from typing import Any

from tune.config.compose import difference, with_values
from tune.config.schema import Config, Sampler
from tune.study.space import Value, grid, parse_space, suggest
from tune.study.storage import StudyFolder, n_wanted, requeued
from tune.trial.outcome import Outcome, State


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A trial that this worker, and no other, runs."""

    trial: Any
    """Optuna's trial."""

    number: int
    point: dict[str, Value]
    """What varies, by key."""

    config: Config
    """The whole configuration with the point in it."""


def enqueue_grid(study: Any, config: Config) -> None:
    """Put the cells of a grid in the queue, those that are not there yet."""
    if config.study.sampler is not Sampler.grid:
        return
    dimensions = parse_space(config)
    there = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(deepcopy=False)]
    for cell in grid(dimensions)[: n_wanted(config, dimensions)]:
        if cell not in there:
            study.enqueue_trial(cell)


def claim(study: Any, config: Config, folder: StudyFolder, *, worker: str) -> Claim | None:
    """Return the next trial, or None when none is left to start."""
    import optuna

    dimensions = parse_space(config)
    with folder.lock("claim"):
        trials = study.get_trials(deepcopy=False)
        waiting = any(trial.state is optuna.trial.TrialState.WAITING for trial in trials)
        if not waiting and sum(not requeued(trial) for trial in trials) >= n_wanted(config, dimensions):
            return None
        # A sampler made anew with the same seed would draw the same first points again.
        study.sampler = _sampler(config.study.sampler, _seed(config.study.seed, len(trials)))
        trial = study.ask()
        point = suggest(dimensions, trial, config)
        changed = with_values(config, point)
        trial.set_user_attr("point", point)
        trial.set_user_attr("worker", worker)
        trial.set_user_attr("seed", changed.seed)
        trial.set_user_attr("command", repeat_command(changed))
    return Claim(trial=trial, number=trial.number, point=point, config=changed)


def tell(study: Any, number: int, outcome: Outcome, config: Config, *, again: bool = False) -> None:
    """Record how a trial ended; with `again`, put its point back in the queue.

    A trial that is not running any more keeps the end that it has.
    """
    import optuna

    trial = study.get_trials(deepcopy=False)[number]
    if trial.state is not optuna.trial.TrialState.RUNNING:
        return
    attrs = {"reason": outcome.reason, "message": outcome.message, "notes": outcome.notes, "metrics": outcome.metrics}
    for name, value in attrs.items():
        _set_attr(study, trial, name, value)
    if again:
        _set_attr(study, trial, "requeued", value=True)
        study.enqueue_trial(trial.params)
    if outcome.state is State.complete:
        assert config.sweep is not None
        study.tell(number, values=outcome.metrics[config.sweep.objective.metric])
    else:
        study.tell(number, state=optuna.trial.TrialState.FAIL)


def running(study: Any) -> list[Any]:
    """Return the trials that somebody is running, or was when it died."""
    import optuna

    return [t for t in study.get_trials(deepcopy=False) if t.state is optuna.trial.TrialState.RUNNING]


def repeat_command(config: Config) -> str:
    """Return the command that runs this trial alone, with as many threads: their number moves the last digits."""
    threads = os.environ.get("OMP_NUM_THREADS")
    exact = [f"workers.threads={threads}"] if threads else []
    return shlex.join(["python", "-m", "tune", *difference(config), *exact])


def _set_attr(study: Any, trial: Any, name: str, value: Any) -> None:
    study._storage.set_trial_user_attr(trial._trial_id, name, value)  # noqa: SLF001 - Optuna has no public way by number


def _sampler(kind: Sampler, seed: int) -> Any:
    import optuna

    if kind is Sampler.tpe:
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def _seed(seed: int, n_trials: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {n_trials}".encode()).digest()[:4], "big")
