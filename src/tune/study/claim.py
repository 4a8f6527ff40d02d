"""Which trial is next."""

import hashlib
import os
import shlex
from dataclasses import dataclass
from typing import Any

from tune.config.compose import difference, with_values
from tune.config.schema import Config, Sampler
from tune.failpoint import reach
from tune.study.attempts import attempt, beat, mend, root, superseded
from tune.study.lock import study_lock
from tune.study.space import Value, grid, parse_space, suggest
from tune.study.storage import n_wanted

STOPPING = "stopping"
"""Attribute of a study in which no trial is to be started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A trial that this worker, and no other, runs."""

    trial: Any
    """Optuna's trial: this attempt."""

    number: int
    """The attempt's number."""

    root: int
    """The trial's number: that of its first attempt."""

    attempt: int
    """From 1."""

    point: dict[str, Value]
    """What varies, by key."""

    config: Config
    """The whole configuration with the point in it."""


def enqueue_grid(study: Any, config: Config) -> None:
    """Put the cells of a grid in the queue, those that are not there yet."""
    if config.study.sampler is not Sampler.grid:
        return
    dimensions = parse_space(config)
    with study_lock(study):
        there = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(deepcopy=False)]
        for cell in grid(dimensions)[: n_wanted(config, dimensions)]:
            if cell not in there:
                study.enqueue_trial(cell)


def claim(study: Any, config: Config, *, worker: str) -> Claim | None:
    """Return the next trial, or None when none is left to start or the study is being stopped.

    The claim is whole or, where its process dies in it, known to be dead: it ends with a first sign of life.
    """
    import optuna

    dimensions = parse_space(config)
    with study_lock(study):
        if study.user_attrs.get(STOPPING):
            return None
        mend(study)
        trials = study.get_trials(deepcopy=False)
        waiting = any(trial.state is optuna.trial.TrialState.WAITING for trial in trials)
        n_trials = sum(not superseded(trial) for trial in trials)
        if not waiting and n_trials >= n_wanted(config, dimensions):
            return None
        # A sampler made anew with the same seed would draw the same first points again.
        study.sampler = _sampler(config.study.sampler, _seed(config.study.seed, n_trials))
        trial = study.ask()
        reach("claim: asked")
        point = suggest(dimensions, trial, config)
        changed = with_values(config, point)
        trial.set_user_attr("point", point)
        trial.set_user_attr("worker", worker)
        trial.set_user_attr("seed", changed.seed)
        trial.set_user_attr("command", repeat_command(changed))
        reach("claim: signed")
        beat(study, trial)
    return Claim(
        trial=trial, number=trial.number, root=root(trial), attempt=attempt(trial), point=point, config=changed
    )


def repeat_command(config: Config) -> str:
    """Return the command that runs this trial alone, with as many threads: their number moves the last digits."""
    threads = os.environ.get("OMP_NUM_THREADS")
    exact = [f"workers.threads={threads}"] if threads else []
    return shlex.join(["python", "-m", "tune", *difference(config), *exact])


def _sampler(kind: Sampler, seed: int) -> Any:
    import optuna

    if kind is Sampler.tpe:
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def _seed(seed: int, n_trials: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {n_trials}".encode()).digest()[:4], "big")
