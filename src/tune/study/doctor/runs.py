"""Where MLflow does not say what the storage says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from filelock import Timeout

from tune.errors import TrackingError
from tune.study.attempts import gone, root, running
from tune.study.command import parent_status
from tune.study.doctor.case import Case, Finding
from tune.study.lock import study_lock
from tune.study.record import run_key, run_status, trial_tags
from tune.study.storage import snapshot
from tune.track.recorder import RunRecord, RunStatus
from tune.track.replay import end_run, replay, unsent
from tune.track.store import KEY_TAG


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What MLflow shows of the study, and the trials that can be compared with it."""

    children: Mapping[str, RunRecord]
    """By id. Read before the trials: a run that was made since belongs to a trial that was claimed since."""

    others: dict[str, RunRecord | None]
    """Runs of trials that are no children; None where there is no run of this id."""

    trials: Mapping[int, Any]
    """Last attempts of the trials that nobody runs, and of whose journals nothing waits."""

    def run(self, run_id: str | None) -> RunRecord | None:
        """Return a run, if it is there."""
        return self.children.get(run_id or "") or self.others.get(run_id or "")


def unsent_journals(case: Case) -> list[Finding]:
    """Return the journals with lines that MLflow lacks, of trials, and of a study, that nobody runs."""
    found = []
    for journal in sorted(case.folder.path.glob("trials/*/run.jsonl")):
        if not journal.parent.name.isdecimal() or int(journal.parent.name) not in case.idle():
            continue
        if n_lines := unsent(journal.parent):
            what = f"trial {int(journal.parent.name)}: {n_lines} lines of its journal are not in MLflow"
            found.append(Finding(what=what, fix=partial(replay, case.store, journal.parent), advice="they are sent"))
    if (n_lines := unsent(case.folder.path)) and not _is_run(case):
        what = f"{n_lines} lines of the study's own journal are not in MLflow"
        found.append(Finding(what=what, fix=partial(replay, case.store, case.folder.path), advice="they are sent"))
    return found


def missing_runs(case: Case) -> list[Finding]:
    """Return the trials whose run is not in MLflow, and complete ones that never had one."""
    shown, found = _shown(case), []
    for number, trial in shown.trials.items():
        run_id = case.run_id(trial)
        if run_id and not shown.run(run_id):
            advice = _why_not(case, run_id)
            found.append(Finding(what=f"trial {number}: its MLflow run {run_id} is not there", advice=advice))
        if run_id is None and trial.state.name == "COMPLETE":
            advice = f"its result is in the study all the same; to record it once more: {trial.user_attrs['command']}"
            found.append(Finding(what=f"trial {number} is complete and has no MLflow run", advice=advice))
    return found


def wrong_statuses(case: Case) -> list[Finding]:
    """Return the runs that say another end than their trial had."""
    shown, found = _shown(case), []
    for number, trial in shown.trials.items():
        run, wanted = shown.run(case.run_id(trial)), run_status(trial)
        # A trial that waits to be tried again may show how its last attempt ended.
        if run and run.status not in ({wanted, RunStatus.failed} if trial.state.name == "WAITING" else {wanted}):
            what = f"trial {number} is {_state(trial)}, but its MLflow run says {run.status.name.upper()}"
            fix = partial(case.while_idle, number, partial(_set_status, case, number, run.run_id))
            found.append(Finding(what=what, fix=fix, advice=f"it says {wanted.name.upper()}"))
    return found


def wrong_metrics(case: Case) -> list[Finding]:
    """Return the runs of complete trials that lack metrics of the storage, or have other values."""
    shown, found = _shown(case), []
    for number, trial in shown.trials.items():
        run = shown.run(case.run_id(trial))
        if run is None or trial.state.name != "COMPLETE":
            continue
        known = trial.user_attrs.get("metrics", {})
        other = {name: value for name, value in known.items() if math.isfinite(value)}
        other = {name: value for name, value in other.items() if run.metrics.get(name) != value}
        if other:
            first = min(other)
            has = f"has {run.metrics[first]:g}" if first in run.metrics else "lacks it"
            what = (
                f"trial {number}: {len(other)} of its {len(known)} metrics are not so in its MLflow run "
                f"(first: {first} is {other[first]:g}, the run {has})"
            )
            fix = partial(_write_metrics, case, run.run_id, other)
            found.append(Finding(what=what, fix=fix, advice="they are written again"))
    return found


def stray_runs(case: Case) -> list[Finding]:
    """Return the study's runs that are running and belong to no trial."""
    return [
        Finding(
            what=f"the MLflow run {run.name} ({run.run_id}) is RUNNING and belongs to no trial",
            fix=partial(_kill_stray, case, run.run_id),
            advice="it says KILLED",
        )
        for run in _strays(case)
        if run.status is RunStatus.running
    ]


def ended_strays(case: Case) -> list[str]:
    """Return what to know of the study's runs that have ended and belong to no trial; nobody is misled by them."""
    return [
        f"the MLflow run {run.name} ({run.run_id}, {run.status.name.upper()}) belongs to no trial of this study; "
        "delete it in MLflow's pages if it is in the way"
        for run in _strays(case)
        if run.status is not RunStatus.running
    ]


def parent_run(case: Case) -> list[Finding]:
    """Return the study's own run where it is missing, or runs while nobody runs the study."""
    run_id = case.study.user_attrs["run_id"]
    run = case.store.read(run_id)
    if run is None:
        advice = f"{_why_not(case, run_id)} Or begin a new one: the +sweep command of the study goes on with it"
        return [Finding(what=f"the study's own MLflow run {run_id} is not there", advice=advice)]
    if run.status is not RunStatus.running or _is_run(case):
        return []
    wanted = parent_status(snapshot(case.study, case.folder))
    what = "the study's own MLflow run is RUNNING, but nobody runs the study"
    return [Finding(what=what, fix=partial(_end_parent, case, run_id), advice=f"it says {wanted.name.upper()}")]


def _shown(case: Case) -> Shown:
    children = {run.run_id: run for run in case.store.children(case.study.user_attrs["run_id"])}
    trials = {n: trial for n, trial in case.idle().items() if not unsent(case.folder.trial(n))}
    elsewhere = {case.run_id(trial) for trial in trials.values()} - children.keys() - {None}
    others = {run_id: case.store.read(run_id) for run_id in elsewhere if run_id}
    return Shown(children=children, others=others, trials=trials)


def _state(trial: Any) -> str:
    return str(trial.user_attrs.get("ended", "failed")) if trial.state.is_finished() else "waiting"


def _set_status(case: Case, number: int, run_id: str) -> None:
    trial = case.idle()[number]
    end_run(case.store, case.folder.trial(number), run_id=run_id, status=run_status(trial), tags=trial_tags(trial))


def _write_metrics(case: Case, run_id: str, metrics: Mapping[str, float]) -> None:
    case.store.open(run_id).metrics(metrics)


def _strays(case: Case) -> list[RunRecord]:
    """Return the study's runs that belong to no trial; another database's study of this name has a key of its own."""
    children = case.store.children(case.study.user_attrs["run_id"])
    last = case.last()
    owned = {case.run_id(trial) for trial in last.values()}
    in_hand = {run_key(case.study, root(trial)) for trial in last.values() if trial.state.name == "RUNNING"}
    ours = f"{case.study.user_attrs['key']}/"
    return [
        run
        for run in children
        if run.run_id not in owned
        and _key(case, run).startswith(ours)
        and _key(case, run) not in in_hand  # just made: its worker has yet to write down which it is
    ]


def _key(case: Case, run: RunRecord) -> str:
    return run.tags.get(KEY_TAG) or f"{case.study.user_attrs['key']}/{run.tags.get('tune.trial')}"


def _kill_stray(case: Case, run_id: str) -> None:
    if run_id in {run.run_id for run in _strays(case)}:
        case.store.open(run_id).finish(RunStatus.killed)


def _is_run(case: Case) -> bool:
    """Return whether somebody runs the study: its supervisor on this machine, or a worker anywhere."""
    with study_lock(case.study):
        dead = gone(case.study, grace_s=case.config.workers.grace_s)
    if any(trial.number not in dead for trial in running(case.study)):
        return True
    case.folder.path.mkdir(parents=True, exist_ok=True)
    try:
        with case.folder.lock("supervisor").acquire(timeout=0):
            return False
    except Timeout:
        return True


def _end_parent(case: Case, run_id: str) -> None:
    if not _is_run(case):
        case.store.open(run_id).finish(parent_status(snapshot(case.study, case.folder)))


def _why_not(case: Case, run_id: str) -> str:
    """Return what the store says to whoever opens a run that is not there, with its way out."""
    try:
        case.store.open(run_id)
    except TrackingError as error:
        return str(error)
    return "it is there now"
