"""What is wrong on this machine's disk: results that are not there, and what was left behind."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tune.study.claim import may_be_twins
from tune.study.doctor.case import Case, Finding, has_ended
from tune.study.leftovers import (
    ADAPTER,
    CHECKPOINTS,
    FREED,
    damaged_checkpoints,
    half_written,
    remove,
    trial_folders,
    trouble_with_adapter,
)
from tune.study.signature import read_signature, sign
from tune.trial.outcome import SCORES


def missing_results(case: Case) -> list[Finding]:
    """Return the complete trials that ran here and whose scores or adapter are not here, or not whole."""
    return [
        Finding(
            what=f"trial {number} is complete, but {trouble} in {case.folder.trial(number)}",
            advice=f"{trial.user_attrs['command']} repeats it, into a folder of its own",
        )
        for number, trial in case.idle().items()
        if trial.state.name == "COMPLETE"
        and (trouble := _trouble(case.folder.trial(number)))
        and _ran_here(case, trial)
    ]


def results_elsewhere(case: Case) -> list[str]:
    """Return where the results are to be looked for that are not on this disk and need not be."""
    complete = {number: trial for number, trial in case.idle().items() if trial.state.name == "COMPLETE"}
    hosts: dict[str, list[int]] = {}
    for number, trial in complete.items():
        if _trouble(case.folder.trial(number)) and not _ran_here(case, trial):
            hosts.setdefault(read_signature(trial.user_attrs["worker"]).host, []).append(number)
    own = read_signature(sign()).host
    return [
        f"adapter and scores of trial {', '.join(map(str, numbers))} are not on this disk; "
        + (f"{host} made them before it was last started" if host == own else f"look for them on {host}")
        for host, numbers in sorted(hosts.items())
    ]


def old_checkpoints(case: Case) -> list[Finding]:
    """Return the checkpoints of trials that are complete; those of other ends are for `clean`."""
    return [
        _removal(
            case, number, [case.folder.trial(number) / CHECKPOINTS], f"trial {number} is complete, its checkpoints"
        )
        for number, trial in case.idle().items()
        if trial.state.name == "COMPLETE" and (case.folder.trial(number) / CHECKPOINTS).is_dir()
    ]


def broken_checkpoints(case: Case) -> list[Finding]:
    """Return the checkpoints that a waiting trial could not go on from."""
    found = []
    for number, trial in case.idle().items():
        if not has_ended(trial) and (damaged := damaged_checkpoints(case.folder.trial(number))):
            names = ", ".join(path.name for path in damaged)
            found.append(_removal(case, number, damaged, f"trial {number} waits, its damaged checkpoints ({names})"))
    return found


def half_written_files(case: Case) -> list[Finding]:
    """Return what processes that are gone began to write."""
    found = []
    for number in case.idle():
        if rest := half_written(case.folder.trial(number)):
            names = ", ".join(path.name for path in rest)
            found.append(_removal(case, number, rest, f"trial {number}: half-written files ({names})"))
    return found


def unknown_folders(case: Case) -> list[Finding]:
    """Return the trials' folders that belong to no trial of the storage."""
    folders = trial_folders(case.folder.path)  # before the trials: a new one is claimed before it has a folder
    known = {case.folder.trial(number) for number in case.last()}
    advice = "look into it, and move it away"
    return [
        Finding(what=f"the storage knows no trial of the folder {folder}", advice=advice)
        for folder in folders
        if folder not in known
    ]


def _removal(case: Case, number: int, paths: Iterable[Path], what: str) -> Finding:
    each: Callable[[], object] = partial(_remove_all, list(paths))
    fix = partial(case.while_idle, number, each)
    return Finding(what=f"{what} are still there", fix=fix, advice="they are removed")


def _remove_all(paths: list[Path]) -> None:
    for path in paths:
        remove(path)


def _trouble(folder: Path) -> str | None:
    """Return in a few words what a complete trial lacks in its folder, or None."""
    if not (folder / SCORES).is_file():
        return f"{SCORES} is not"
    adapter = folder / ADAPTER
    if not adapter.is_dir():
        return None if (folder / FREED).is_file() else "its adapter is not"
    trouble = trouble_with_adapter(adapter)
    return f"its adapter is not whole ({trouble})" if trouble else None


def _ran_here(case: Case, trial: Any) -> bool:
    """Return whether a trial, and any other that it may have taken its result from, ran on this machine."""
    here = read_signature(sign()).machine
    attrs = trial.user_attrs
    alike = [
        other.user_attrs
        for other in case.last().values()
        if other.state.name == "COMPLETE" and may_be_twins(other.user_attrs, attrs)
    ]
    return all(read_signature(other["worker"]).machine == here for other in (attrs, *alike))
