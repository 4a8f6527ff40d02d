"""What `python -m tune plan` says: what a study or a trial would do and take, with nothing trained."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tune import paths
from tune.config import rules
from tune.config.compose import difference
from tune.config.model import Device
from tune.config.objective import ObjectiveConfig
from tune.config.schema import Config
from tune.disk import free_bytes
from tune.errors import ConfigError
from tune.study.candidates import first_points, left_out, looked_at, n_points
from tune.study.command import check_aims
from tune.study.machine import memory_limit, n_workers, sees_gpu
from tune.study.needs import refuse_missing
from tune.study.plan_sizes import extremes
from tune.study.space import Space, configured, parse_space
from tune.study.storage import n_wanted
from tune.study.summary import dimension_words, overridden
from tune.study.timing import measure_time
from tune.track.plan_record import DiskRecord, LeftOutRecord, PlanRecord
from tune.trial.sizes import Rows, Sized, Sizes, is_fetched, measure_sizes

_N_FIRST = 5
_GIB = 1024**3
_KEPT = 3
"""Checkpoints of a running trial at once: two that are kept, and one that is being written."""

_LENGTHS = (
    "Memory is for the longest sequences that the settings allow (train.max_length={longest}, "
    "data.max_new_tokens={new}): {why}, and shorter rows take less."
)
_READ = "Memory is for the rows as they are: the longest that is trained on has {longest} tokens."
_UNREAD = "no tokenizer was read"
_NO_LIMIT = "No limit of memory is known for a GPU here: with workers.memory_gib=… the plan says what is above it."
_SOME = (
    "Of {n} configurations whose memory may differ, {tried} were estimated: lowest and highest rank of every kind, "
    "and a dozen at most."
)
_EARLY = (
    "Trials may end early (train.early_stopping.patience={patience}): times are those of trainings that take all their "
    "steps."
)
_CPU = "Memory is for this machine's CPU, where no GPU is seen; model.device=cuda plans for a machine with one."

Candidates = list[tuple[Mapping[str, Any], Config]]


def make_plan(config: Config, on: Callable[[int, int], None]) -> PlanRecord:
    """Return what the command would do; without plan.probe no data, tokenizer or weights are read.

    Args:
        config: With or without a sweep; its rules have been checked.
        on: Is told how many of how many estimates are done.

    Raises:
        ConfigError: The space or the objective is not allowed.
    """
    space = parse_space(config) if config.sweep else None
    if space:
        check_aims(config)
    points = looked_at(space, config) if space else [{}]
    candidates, out = _allowed(points, config)
    rows = Rows() if config.plan.probe else None
    sizes = measure_sizes(candidates, rows=rows, on_gpu=sees_gpu(), on=on)
    found = sorted(sizes.sized, key=lambda one: (one.estimate.peak, one.estimate.trainable))
    sizes_of = extremes(found, config, space, rows=rows, sees_gpu=sees_gpu())
    limit = _limit_gib(config)
    n_trials = n_wanted(config, space) if space else 1
    ends = [found[0].config, found[-1].config] if found else [own for _, own in candidates[:1]]
    time, untimed = (None, None) if not config.plan.probe else measure_time(config, _different(ends), n_trials=n_trials)
    return PlanRecord(
        name=config.sweep.name if config.sweep else "one trial",
        question=config.sweep.question if config.sweep else "",
        objectives=tuple(f"{one.direction} {one.metric}" for one in _objectives(config)),
        space=tuple(dimension_words(one) for one in space.dimensions) if space else (),
        n_points=n_points(space, config) if space else 1,
        n_trials=n_trials,
        sampler=config.study.sampler.value if space else None,
        n_workers=min(n_workers(config), n_trials) if space else 1,
        first=tuple(first_points(space, config, n=_N_FIRST)) if space else ({"seed": config.seed},),
        place="GPU" if _on_gpu(config) else "CPU",
        n_estimated=len(sizes.sized),
        n_configurations=sizes.n_different,
        sizes=sizes_of.here,
        on_gpu=sizes_of.on_gpu,
        limit_gib=limit,
        time=time,
        disk=tuple(_disk(config, found, n_trials=n_trials, is_study=space is not None)),
        free_gib=free_bytes(_place(config)) / _GIB,
        left_out=(*(left_out(space, config) if space else ()), *out, *_too_large(found, limit)),
        notes=(
            *_length_notes(config, found, rows),
            *_notes(config, space, sizes, limit),
            *([untimed] if untimed else []),
        ),
    )


def _objectives(config: Config) -> list[ObjectiveConfig]:
    return config.sweep.all_objectives if config.sweep else []


def _allowed(points: list[Any], config: Config) -> tuple[Candidates, list[LeftOutRecord]]:
    """Return the points that the rules allow with their configurations, and what they refuse."""
    allowed: Candidates = []
    refused: Counter[str] = Counter()
    for point in points:
        own = configured(config, point)
        try:
            rules.check(own)
            allowed.append((point, own))
        except ConfigError as error:
            refused[str(error)] += 1
    unit = "configurations looked at"
    return allowed, [LeftOutRecord(why=why, n=n, of=len(points), unit=unit) for why, n in refused.items()]


def _different(ends: list[Config]) -> list[Config]:
    return ends if len(ends) > 1 and difference(ends[0]) != difference(ends[1]) else ends[:1]


def _too_large(found: list[Sized], limit: float | None) -> list[LeftOutRecord]:
    n = sum(limit is not None and one.estimate.peak > limit for one in found)
    if not n:
        return []
    why = f"estimated above workers.memory_gib={limit:.1f}"
    return [LeftOutRecord(why=why, n=n, of=len(found), unit="configurations estimated")]


def _length_notes(config: Config, found: list[Sized], rows: Rows | None) -> list[str]:
    read = [one.longest for one in found if one.longest is not None]
    notes = [_READ.format(longest=max(read))] if read else []
    if len(read) < len(found) or not found:
        why = (rows and rows.why_not) or _UNREAD
        notes.append(_LENGTHS.format(longest=config.train.max_length, new=config.data.max_new_tokens, why=why))
    return notes


def _notes(config: Config, space: Space | None, sizes: Sizes, limit: float | None) -> list[str]:
    notes = []
    tried = len(sizes.sized) + sum(sizes.refused.values())
    if tried < sizes.n_different:
        notes.append(_SOME.format(n=sizes.n_different, tried=tried))
    if config.plan.probe and config.train.early_stopping.patience is not None:
        notes.append(_EARLY.format(patience=config.train.early_stopping.patience))
    if space and (words := overridden(space, config)):
        notes.append(f"No trial is run with {' '.join(words)}: every point of sweep.space has a value of its own.")
    notes += [f"Not estimated, {n} of {tried}: {why}" for why, n in sizes.refused.items()]
    if not _on_gpu(config) and config.model.device is Device.auto:
        notes.append(_CPU)
    elif limit is None:
        notes.append(_NO_LIMIT)
    try:
        refuse_missing(config, space)
    except ConfigError as error:
        notes.append(f"On this machine the command would be refused: {error}")
    return notes


def _on_gpu(config: Config) -> bool:
    return sees_gpu() if config.model.device is Device.auto else config.model.device is Device.cuda


def _limit_gib(config: Config) -> float | None:
    """Return the most that a worker may hold; the machine's own memory says nothing about a GPU's."""
    if _on_gpu(config) and config.workers.memory_gib is None:
        return None
    return memory_limit(config) / _GIB


def _disk(config: Config, found: list[Sized], *, n_trials: int, is_study: bool) -> list[DiskRecord]:
    """Return what is written, smallest and largest: adapters stay, twice where MLflow's are here; checkpoints go."""
    if not found:
        return []
    adapters = [one.estimate.adapter for one in found]
    states = [
        # The best weights so far are kept apart, with those that the other checkpoints count on.
        _KEPT * (one.estimate.adapter * (1 if patience is None else 2) + one.estimate.optimizer)
        for one, patience in ((one, one.config.train.early_stopping.patience) for one in found)
    ]
    n_running = min(n_workers(config), n_trials)
    rows = [DiskRecord(what="adapters", low_gib=n_trials * min(adapters), high_gib=n_trials * max(adapters))]
    if paths.tracking_uri(config.track.uri) is None:  # a server keeps it elsewhere
        rows.append(replace(rows[0], what="adapters, MLflow's copy"))
    if is_study:
        lowest, highest = n_running * min(states), n_running * max(states)
        rows.append(DiskRecord(what="checkpoints while it runs", low_gib=lowest, high_gib=highest))
    # Published weights have two bytes a parameter, whatever they become when they are loaded.
    models = {
        one.config.model.label: 2 * (one.estimate.total - one.estimate.trainable) / _GIB
        for one in found
        if not is_fetched(one.config)
    }
    return rows + [DiskRecord(what=f"model {name}, fetched", low_gib=n, high_gib=n) for name, n in models.items()]


def _place(config: Config) -> Path:
    return paths.runs_dir(config.track.folder)
