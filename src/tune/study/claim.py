"""Which trial is next."""

import hashlib
import itertools
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tune.config.compose import difference, with_values
from tune.config.schema import Config, Sampler
from tune.failpoint import reach
from tune.study.attempts import QUEUED, attempt, beat, mend, reject, rejected, root, superseded
from tune.study.lock import study_lock
from tune.study.repeats import first_seed, next_repeat
from tune.study.sampler import KEEPING_COUNT, make_sampler, passing_sampler
from tune.study.smaller import smaller
from tune.study.space import Space, Value, configured, grid, read_space, suggest
from tune.study.storage import n_wanted

STOPPING = "stopping"
"""Attribute of a study in which no trial is to be started."""

_MOST_TOLD = 30
"""Rejected points that a claim tells the sampler of; then it draws until one passes, and tells only that."""


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

    reduced: dict[str, Any] | None = None
    """Settings that stand above its point since an attempt ran out of memory."""


def enqueue_grid(study: Any, config: Config) -> None:
    """Put what is known before the first draw in the queue, where it is not there yet: a grid's cells, first points."""
    with study_lock(study):
        _enqueue(study, config, read_space(config))


def claim(study: Any, config: Config, space: Space, *, worker: str) -> Claim | None:
    """Return the next trial, or None when none is left to start or the study is being stopped.

    The claim is whole or, where its process dies in it, known to be dead: it ends with a first sign of life.

    Raises:
        StudyError: All that is drawn is rejected.
    """
    for n_rejected in itertools.count():
        # The lock is let go between two draws: whoever held it for long would be taken for frozen.
        with study_lock(study):
            claimed = _draw(study, config, space, worker=worker, is_sure=n_rejected >= _MOST_TOLD)
        if not isinstance(claimed, str):
            return claimed
    raise AssertionError


def _draw(study: Any, config: Config, space: Space, *, worker: str, is_sure: bool) -> Claim | str | None:
    """Return the next trial, None, or the expression that rejected the point that was drawn."""
    if study.user_attrs.get(STOPPING):
        return None
    mend(study)
    trials, waiting = _trials_and_queue(study)
    if not waiting or space.first:
        # A worker that was there before its study may come before the supervisor has filled the queue; and a first
        # point that was completed to something that is rejected is to be completed again.
        _enqueue(study, config, space)
        trials, waiting = _trials_and_queue(study)
    wanted = n_wanted(config, space)
    begun = {root(trial) for trial in trials if trial.state.name != "WAITING"}
    if len(begun - {root(trial) for trial in trials if rejected(trial)}) >= wanted:
        # What is queued beyond them stays there, where study.n_trials was made less: it may be raised again.
        waiting = [trial for trial in waiting if root(trial) in begun]
        if not waiting:
            return None
    if not waiting and (again := next_repeat(_begun(trials), config, n_wanted=wanted)):
        study.enqueue_trial(dict(again.parameters), user_attrs={"seed": again.seed})
        trials, waiting = _trials_and_queue(study)
    roots = sorted({root(trial) for trial in trials})
    # A sampler made anew with the same seed would draw the same first points again. Attempts at one trial share
    # their seed, so that one whose claim was cut off draws what it would have drawn.
    seed = draw_seed(config.study.seed, roots.index(root(waiting[0])) if waiting else len(roots))
    fixed = waiting[0].system_attrs[QUEUED] if waiting else {}
    # What has a seed has a whole point too, and nothing is left to choose.
    given = waiting[0].user_attrs.get("seed") if waiting else None
    kind = config.study.sampler if given is None or config.study.sampler in KEEPING_COUNT else Sampler.random
    over = _begun if config.sweep and config.sweep.seeds else None
    study.sampler = (
        passing_sampler(space, config, seed, fixed)
        if is_sure
        else make_sampler(kind, space, config, seed=seed, nth=_nth_draw(trials, waiting), over=over)
    )
    trial = _begin(study, waiting[0]) if waiting else study.ask()
    reach("claim: asked")
    trial.set_user_attr("worker", worker)
    point = suggest(space, trial, config)
    if why := space.rejected_by(point, config):
        reject(study, trial, why)
        return why
    own = with_values(configured(config, point), trial.user_attrs.get("reduced", {}))
    seed_is_searched = "seed" in point
    if not seed_is_searched:
        own = replace(own, seed=first_seed(config) if given is None else given)
    return _sign(study, trial, trials, point, own)


def _begin(study: Any, waiting: Any) -> Any:
    """Return the trial that waits in the queue, as running; `ask` would take the one that has waited longest."""
    import optuna

    number = waiting._trial_id  # noqa: SLF001 - no public way to one of several
    study._storage.set_trial_state_values(number, state=optuna.trial.TrialState.RUNNING)  # noqa: SLF001
    study._thread_local.cached_all_trials = None  # noqa: SLF001 - what samplers look at; `ask` forgets it too
    return optuna.trial.Trial(study, number)


def _sign(study: Any, trial: Any, trials: Sequence[Any], point: dict[str, Value], config: Config) -> Claim:
    """Write down what the trial was given, and give its first sign of life."""
    command = repeat_command(config)
    twin = _twin(trials, root(trial), {"point": point, "seed": config.seed, "command": command})
    about = {"point": point, "seed": config.seed, "started": time.time(), "command": command}
    about["smaller"] = smaller(config)
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
        config=config,
        twin=twin,
        reduced=trial.user_attrs.get("reduced"),
    )


def _enqueue(study: Any, config: Config, space: Space) -> None:
    """Fill the queue. Whatever was put there before is known by its content, so it is never put there twice."""
    is_grid = config.study.sampler is Sampler.grid
    if not is_grid and not space.first:
        return
    trials = study.get_trials(deepcopy=False)
    if is_grid:
        _enqueue_cells(study, trials, config, space)
        return
    begun = {trial.user_attrs.get("first") for trial in trials if not superseded(trial) and not rejected(trial)}
    for place, point in enumerate(space.first[: n_wanted(config, space)]):
        if place not in begun:
            study.enqueue_trial(dict(point), user_attrs={"first": place})


def _enqueue_cells(study: Any, trials: Sequence[Any], config: Config, space: Space) -> None:
    """Queue the grid's cells, all of them with the first seed before any is repeated."""
    assert config.sweep is not None
    several = bool(config.sweep.seeds)
    there = [(t.user_attrs.get("seed") if several else None, t.system_attrs.get(QUEUED)) for t in trials]
    seeds: list[int | None] = [*config.sweep.seeds] or [None]
    queue = [(seed, cell) for seed in seeds for cell in grid(space, config)]
    for seed, cell in queue[: n_wanted(config, space)]:
        if (seed, cell) not in there:
            study.enqueue_trial(cell, user_attrs={} if seed is None else {"seed": seed})


def _twin(trials: Sequence[Any], own: int, about: Mapping[str, Any]) -> int | None:
    """Return the trial that was given the same configuration and seed before and has, or may yet have, a result."""
    same = [
        root(trial)
        for trial in trials
        if may_be_twins(trial.user_attrs, about)
        # Of two that run, the later one waits for the earlier: never both for each other.
        and (trial.state.name == "COMPLETE" or (trial.state.name == "RUNNING" and root(trial) < own))
    ]
    return min(same, default=None)


def _trials_and_queue(study: Any) -> tuple[list[Any], list[Any]]:
    trials = study.get_trials(deepcopy=False)
    return trials, [trial for trial in trials if trial.state.name == "WAITING"]


def may_be_twins(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two trials, by what was written down of them, have the same configuration and seed.

    Two points may mean one configuration, where one names what the other leaves as it is; their commands are alike.
    """
    same_point = (one.get("point"), one.get("seed")) == (other.get("point"), other.get("seed"))
    return same_point or (one.get("command") is not None and one.get("command") == other.get("command"))


def repeat_command(config: Config) -> str:
    """Return the command that runs this trial alone, with as many threads: their number moves the last digits."""
    threads = os.environ.get("OMP_NUM_THREADS")
    exact = [f"workers.threads={threads}"] if threads else []
    return shlex.join(["python", "-m", "tune", *difference(config), *exact])


def _nth_draw(trials: Sequence[Any], waiting: Sequence[Any]) -> int | None:
    """Return the place of the next draw among the study's draws, from 0; None where the queue has the point.

    Cells, first points and further seeds were put in the queue and not drawn, so they move nothing. Attempts at one
    trial have one place, whatever became of the earlier ones.
    """
    drawn = [trial.number for trial in trials if root(trial) == trial.number and not trial.system_attrs.get(QUEUED)]
    if not waiting:
        return len(drawn)
    return drawn.index(root(waiting[0])) if root(waiting[0]) in drawn else None


def _begun(trials: Sequence[Any]) -> list[Any]:
    """Return the last attempt at every trial that was not rejected."""
    return [trial for trial in trials if not superseded(trial) and not rejected(trial)]


def draw_seed(seed: int, place: int) -> int:
    """Return the seed of the sampler that draws the trial at a place of the study, the first at 0."""
    return int.from_bytes(hashlib.sha256(f"{seed} {place}".encode()).digest()[:4], "big")
