"""Which trial is next."""

import hashlib
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tune.config.compose import difference, with_values
from tune.config.schema import Config, Sampler
from tune.failpoint import reach
from tune.study.attempts import attempt, beat, mend, root
from tune.study.lock import study_lock
from tune.study.space import Dimension, Value, grid, parse_space, suggest
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

    twin: int | None
    """The trial with the same configuration and seed whose result is taken; None where there is none."""


def enqueue_grid(study: Any, config: Config) -> None:
    """Put the cells of a grid in the queue, those that are not there yet."""
    if config.study.sampler is Sampler.grid:
        with study_lock(study):
            _enqueue_cells(study, config, parse_space(config))


def claim(study: Any, config: Config, dimensions: Sequence[Dimension], *, worker: str) -> Claim | None:
    """Return the next trial, or None when none is left to start or the study is being stopped.

    The claim is whole or, where its process dies in it, known to be dead: it ends with a first sign of life.
    """
    with study_lock(study):
        if study.user_attrs.get(STOPPING):
            return None
        mend(study)
        trials, waiting = _trials_and_queue(study)
        if not waiting and config.study.sampler is Sampler.grid:
            # A worker that was there before its study may come before the supervisor has filled the queue.
            _enqueue_cells(study, config, dimensions)
            trials, waiting = _trials_and_queue(study)
        roots = sorted({root(trial) for trial in trials})
        if not waiting and len(roots) >= n_wanted(config, dimensions):
            return None
        # A sampler made anew with the same seed would draw the same first points again. Attempts at one trial share
        # their seed, so that one whose claim was cut off draws what it would have drawn.
        place = roots.index(root(waiting[0])) if waiting else len(roots)
        study.sampler = _sampler(config.study.sampler, _seed(config.study.seed, place))
        trial = study.ask()
        reach("claim: asked")
        trial.set_user_attr("worker", worker)
        point = suggest(dimensions, trial, config)
        changed = with_values(config, point)
        twin = _twin(trials, root(trial), point, changed.seed)
        about = {"point": point, "seed": changed.seed, "started": time.time(), "command": repeat_command(changed)}
        for name, content in about.items():
            trial.set_user_attr(name, content)
        reach("claim: signed")
        beat(study, trial)
    return Claim(
        trial=trial,
        number=trial.number,
        root=root(trial),
        attempt=attempt(trial),
        point=point,
        config=changed,
        twin=twin,
    )


def _enqueue_cells(study: Any, config: Config, dimensions: Sequence[Dimension]) -> None:
    there = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(deepcopy=False)]
    for cell in grid(dimensions)[: n_wanted(config, dimensions)]:
        if cell not in there:
            study.enqueue_trial(cell)


def _trials_and_queue(study: Any) -> tuple[list[Any], list[Any]]:
    trials = study.get_trials(deepcopy=False)
    return trials, [trial for trial in trials if trial.state.name == "WAITING"]


def _twin(trials: Sequence[Any], own: int, point: dict[str, Value], seed: int) -> int | None:
    """Return the trial that was given the same configuration and seed before and has, or may yet have, a result."""
    alike = [
        root(trial)
        for trial in trials
        if (trial.user_attrs.get("point"), trial.user_attrs.get("seed")) == (point, seed)
        # Of two that run, the later one waits for the earlier: never both for each other.
        and (trial.state.name == "COMPLETE" or (trial.state.name == "RUNNING" and root(trial) < own))
    ]
    return min(alike, default=None)


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


def _seed(seed: int, place: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {place}".encode()).digest()[:4], "big")
