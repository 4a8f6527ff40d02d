"""The MLflow runs of a study's trials: one for a trial, whatever number of attempts it takes."""

import logging
from typing import Any

from tune.errors import StoreAway, TrackingError
from tune.failpoint import reach
from tune.study.attempts import attempt, pruned, root, running
from tune.study.claim import Claim
from tune.study.database import unless_away
from tune.study.storage import StudyFolder
from tune.track.buffer import BufferedRecorder, buffered_run
from tune.track.recorder import RunStatus
from tune.track.replay import end_run, replay, unsent
from tune.track.store import KEY_TAG, RunStore

ENDS = {
    None: RunStatus.finished,
    "interrupted": RunStatus.killed,
    "pruned": RunStatus.killed,
    "failed": RunStatus.failed,
}
"""How a run ends, by the reason of its trial; every other reason is `failed`."""


def run_status(trial: Any) -> RunStatus:
    """Return what the run of a trial, by its last attempt, must say."""
    if trial.state.name == "RUNNING":
        return RunStatus.running
    if trial.state.name == "WAITING":
        return RunStatus.killed  # it will be tried again
    if pruned(trial):
        return RunStatus.killed
    return RunStatus.finished if trial.state.name == "COMPLETE" else RunStatus.failed


def end_tags(reason: str | None, message: str, pruned_step: int | None) -> dict[str, str]:
    """Return the tags that say why a run has no result; none where it has one."""
    stopped = {} if pruned_step is None else {"tune.pruned_step": str(pruned_step)}
    return {"tune.reason": reason, "tune.message": message, **stopped} if reason else {}


def trial_tags(trial: Any) -> dict[str, str]:
    """Return the tags that say why a trial, by its last attempt, has no result."""
    attrs = trial.user_attrs
    return end_tags(attrs.get("reason"), attrs.get("message", ""), attrs.get("pruned_step"))


def record_of(claimed: Claim, study: Any, store: RunStore, folder: StudyFolder) -> BufferedRecorder:
    """Return the recorder of a trial's run: the one that its earlier attempts wrote to, running again, or a new one."""
    run_id = claimed.trial.user_attrs.get("run_id")
    recorder = buffered_run(
        store,
        folder.trial(claimed.root),
        name=f"{folder.name}-{claimed.root:03d}",
        study_run_id=study.user_attrs.get("run_id"),
        tags={
            "tune.command": claimed.trial.user_attrs["command"],
            "tune.trial": str(claimed.root),
            KEY_TAG: run_key(study, claimed.root),
        },
        run_id=run_id,
    )
    if run_id or claimed.attempt > 1:
        recorder.reopen()
    reach("run: made")
    if recorder.run_id and not run_id:
        with unless_away():  # how the trial ends is told with it
            claimed.trial.set_user_attr("run_id", recorder.run_id)
    return recorder


def run_key(study: Any, trial: int) -> str:
    """Return what no run but this trial's carries: the name alone may be another study's in another database."""
    return f"{study.user_attrs['key']}/{trial}"


def close_run(trial: Any, store: RunStore, folder: StudyFolder) -> bool:
    """End the run of an attempt whose worker is gone; return False where that could not be recorded yet.

    What MLflow shows must not stop a study: a run may have been deleted there. `doctor` finds what is not right.
    """
    number = root(trial)
    why = trial_tags(trial)
    tags = why | {"tune.attempt": str(attempt(trial))} if why else {}
    run_id = trial.user_attrs.get("run_id")
    try:
        return end_run(store, folder.trial(number), run_id=run_id, status=run_status(trial), tags=tags)
    except TrackingError as error:
        logging.getLogger(__name__).warning("the run of trial %d could not be closed: %s", number, error)
        return False


def send_what_waits(study: Any, store: RunStore, folder: StudyFolder) -> int:
    """Send what journals of the study and of trials that nobody runs still hold; return how many lines stay."""
    in_hand = {folder.trial(root(trial)) for trial in running(study)}
    # Not **: that would look into folders of checkpoints, which trials that run take away meanwhile.
    journals = {journal.parent for name in ("run.jsonl", "trials/*/run.jsonl") for journal in folder.path.glob(name)}
    journals -= in_hand
    waiting = sorted(place for place in journals if unsent(place))
    for place in waiting:
        try:
            replay(store, place)
        except StoreAway:
            break  # it is for the others too
        except TrackingError:
            continue  # refused: `doctor` says why
    return sum(map(unsent, waiting))


def close_what_is_open(study: Any, store: RunStore, folder: StudyFolder) -> None:
    """End the runs that are running although nobody runs their trial: whoever ended it died before it could say so."""
    last = {root(trial): trial for trial in study.get_trials(deepcopy=False)}
    by_run = {trial.user_attrs.get("run_id"): trial for trial in last.values()}
    try:
        for run_id in store.unfinished(study.user_attrs["run_id"]):
            if run_id in by_run and by_run[run_id].state.name != "RUNNING":
                close_run(by_run[run_id], store, folder)
    except TrackingError as error:
        logging.getLogger(__name__).warning("runs could not be looked through: %s", error)
