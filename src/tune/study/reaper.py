"""Attempts whose worker is gone are ended, and so are their runs, by whoever notices first."""

from typing import Any

from tune.config.schema import Config
from tune.study.attempts import end, mend, reap, retries_after, root, running, silent_s
from tune.study.lock import study_lock
from tune.study.record import close_run
from tune.study.storage import StudyFolder
from tune.track.store import RunStore
from tune.trial.outcome import Outcome


def reap_and_close(
    study: Any, config: Config, store: RunStore, folder: StudyFolder, *, interrupted_before: float = 0.0
) -> list[int]:
    """End the attempts whose worker is gone, wherever it ran, make the followers that nobody made, close the runs.

    Args:
        study: Optuna's study.
        config: Its configuration.
        store: Where its runs are.
        folder: Its files.
        interrupted_before: See `reap`.

    Returns:
        The numbers of the attempts that were ended.
    """
    gone = reap(
        study,
        grace_s=config.workers.grace_s,
        retries=retries_after("lost", config),
        reached=folder.reached,
        interrupted_before=interrupted_before,
    )
    with study_lock(study):
        mend(study)
    for number in gone:
        _close(study, number, store, folder)
    return gone


def bury(study: Any, signature: str, outcome: Outcome, config: Config, *, store: RunStore, folder: StudyFolder) -> int:
    """End what a worker of this machine ran, which is gone; return how many attempts that were.

    An attempt that it was only claiming, and gave no sign of life for, is left to `reap`: nothing of it had run.
    """
    began = silent_s(study).keys()
    own = [t for t in running(study) if t.user_attrs.get("worker") == signature and t._trial_id in began]  # noqa: SLF001
    retries = retries_after(outcome.reason, config)
    ended = [
        trial.number
        for trial in own
        if end(study, trial.number, outcome, retries=retries, about={"reached": folder.reached(root(trial))})
    ]
    for number in ended:
        _close(study, number, store, folder)
    return len(ended)


def _close(study: Any, number: int, store: RunStore, folder: StudyFolder) -> None:
    close_run(study.get_trials(deepcopy=False)[number], store, folder)
