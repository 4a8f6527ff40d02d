"""What of a study's files nothing needs any more, and how it is freed.

Only trials that have ended for good are looked at: a trial that waits goes on from its checkpoint.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tune import paths
from tune.config.schema import Config
from tune.files import write_json
from tune.study.attempts import root, superseded
from tune.study.leftovers import ADAPTER, CHECKPOINTS, FREED, half_written, remove, size
from tune.study.storage import StudyFolder, load_study, snapshot
from tune.track.records import StudyRecord
from tune.track.replay import unsent
from tune.track.upkeep import FreeableRecord
from tune.trial.outcome import SCORES

_JOURNAL = ("run.jsonl", "run.json")  # in this order: progress without its journal does no harm, the reverse does
_SETTLED_S = 60.0
"""A worker tells the storage first that a trial has ended, and writes the last lines of its journal then."""


class Kind(StrEnum):
    """Why something may go."""

    checkpoints = "checkpoints of trials that have ended"
    failures = "adapters and scores of trials without a result"
    journals = "journals that MLflow has in full"
    leftovers = "half-written files"
    adapters = "adapters of all but the best"


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeable:
    """A file or a folder that may go."""

    kind: Kind
    number: int
    """Its trial."""

    path: Path
    size: int
    """Bytes."""


def find_freeable(name: str, config: Config) -> list[Freeable]:
    """Return what may go; `clean.keep_adapters` says whether adapters may.

    Raises:
        StudyError: There is no study of this name.
    """
    runs = paths.runs_dir(config.track.folder)
    study, folder = load_study(name, config, runs), StudyFolder(runs=runs, name=name)
    last = {root(trial): trial for trial in study.get_trials(deepcopy=False)}  # a later attempt stands after
    ended = {n: trial for n, trial in last.items() if trial.state.is_finished() and not superseded(trial)}
    if not ended:
        return []
    losers = _losers(snapshot(study, folder), config.clean.keep_adapters)
    found = [
        (kind, number, path)
        for number, trial in sorted(ended.items())
        for kind, path in _of_trial(trial, folder.trial(number), is_loser=number in losers)
    ]
    return [Freeable(kind=kind, number=number, path=path, size=size(path)) for kind, number, path in found]


def summary(found: Sequence[Freeable]) -> list[FreeableRecord]:
    """Return how much there is of each kind."""
    kinds = {kind: [each for each in found if each.kind is kind] for kind in Kind}
    return [
        FreeableRecord(
            kind=kind.value, n_trials=len({each.number for each in some}), size=sum(each.size for each in some)
        )
        for kind, some in kinds.items()
        if some
    ]


def free(found: Sequence[Freeable]) -> tuple[int, list[str]]:
    """Remove it, and return how many bytes went, and what could not be removed and why."""
    freed, kept = 0, []
    for each in found:
        before = size(each.path)
        try:
            if each.kind is Kind.adapters:
                write_json(each.path.parent / FREED, {"adapter": before})  # first, so that nobody misses it
            remove(each.path)
        except OSError as error:
            kept.append(f"{each.path} ({error.strerror or error})")
        freed += before - size(each.path)
    return freed, kept


def _losers(study: StudyRecord, keep: int | None) -> set[int]:
    return set() if keep is None else {trial.number for trial in study.ranked()[keep:]}


def _of_trial(trial: Any, folder: Path, *, is_loser: bool) -> Iterator[tuple[Kind, Path]]:
    if (folder / CHECKPOINTS).is_dir():
        yield Kind.checkpoints, folder / CHECKPOINTS
    for path in half_written(folder):
        if CHECKPOINTS not in path.relative_to(folder).parts:  # those go with the checkpoints
            yield Kind.leftovers, path
    if unsent(folder):
        return  # what waits to be sent may be one of the files below
    if trial.state.name != "COMPLETE":
        yield from ((Kind.failures, folder / name) for name in (ADAPTER, SCORES) if (folder / name).exists())
    elif is_loser and (folder / ADAPTER).is_dir():
        yield Kind.adapters, folder / ADAPTER
    if trial.user_attrs.get("run_id") and _is_settled(folder / _JOURNAL[0]):
        yield from ((Kind.journals, folder / name) for name in _JOURNAL if (folder / name).is_file())


def _is_settled(journal: Path) -> bool:
    try:
        return time.time() - journal.stat().st_mtime > _SETTLED_S
    except FileNotFoundError:
        return True
