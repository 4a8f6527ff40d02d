"""What is asked of a study that is there: how it stands, to stop, or for work."""

import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from tune import paths
from tune.config.schema import Config
from tune.errors import Interrupted, StudyError, nearest
from tune.study.claim import STOPPING
from tune.study.lock import study_lock
from tune.study.machine import n_threads, thread_variables
from tune.study.storage import StudyFolder, load_study, snapshot, stored_config
from tune.track.output import print_no_secrets
from tune.track.records import StudyRecord
from tune.trial.outcome import OUTCOME

_LOOK_S = 1.0


def read_study(name: str, config: Config) -> StudyRecord:
    """Return a study as it stands.

    Raises:
        StudyError: There is none of this name.
    """
    runs = paths.runs_dir(config.track.folder)
    return snapshot(load_study(name, config, runs), StudyFolder(runs=runs, name=name))


def study_folder(name: str, config: Config) -> Path:
    """Return the folder of a study's files on this disk; its storage is not asked.

    Raises:
        StudyError: There is none of this name.
    """
    runs = paths.runs_dir(config.track.folder)
    there = [folder.name for folder in (runs / "studies").glob("*") if folder.is_dir()]
    if name not in there:
        known = nearest(name, there) if there else "There is none."
        msg = f"there is no folder of a study called {name} in {runs}. {known} track.folder=… names another place."
        raise StudyError(msg)
    return StudyFolder(runs=runs, name=name).path


def find_trial(name: str, config: Config) -> tuple[str, Path]:
    """Return a trial in words, and its folder.

    Args:
        name: A study, of which `replies.trial` names the trial or else the best is taken; or a trial that was run
            without a study, by its folder.
        config: Where the runs are.

    Raises:
        StudyError: There is no such study, or it has no such trial with a result.
    """
    runs = paths.runs_dir(config.track.folder)
    for alone in (runs / "trials" / name, Path(name)):
        if (alone / OUTCOME).is_file():
            return f"trial {alone.resolve().name}", alone
    study = read_study(name, config)
    ranked = [trial.number for trial in study.ranked()]
    asked = config.replies.trial
    if not ranked or (asked is not None and asked not in ranked):
        there = f"trials {', '.join(map(str, sorted(ranked)))} have one" if ranked else "no trial has one"
        which = f"replies.trial={asked}" if ranked else "any trial"
        msg = f"the study {name} has no result of {which}: {there}. `python -m tune status {name}` shows how far it is."
        raise StudyError(msg)
    number = ranked[0] if asked is None else asked
    return f"trial {number} of {name}", StudyFolder(runs=runs, name=name).trial(number)


def stop_study(name: str, config: Config) -> StudyRecord:
    """Let the study's workers finish the trials that they run and start none; return the study as it stands.

    Raises:
        StudyError: There is none of this name.
    """
    runs = paths.runs_dir(config.track.folder)
    study = load_study(name, config, runs)
    with study_lock(study):
        study.set_user_attr(STOPPING, True)
    return snapshot(study, StudyFolder(runs=runs, name=name))


def work(name: str, config: Config) -> NoReturn:
    """Run trials of a study in this process until none is left; the process ends with 0, or 130 if it was stopped.

    It ends at once: all that counts is on disk, and the libraries' own farewells take seconds that a supervisor's death
    does not leave.

    Raises:
        StudyError: There is no such study, also after `workers.wait_s`; or the disk is full.
    """
    from tune.study.worker import Worker

    runs = paths.runs_dir(config.track.folder)
    print_no_secrets()
    study = _wait_for_study(name, config, runs)
    os.environ.update(thread_variables(n_threads(stored_config(study))) | os.environ)
    code = 0
    try:
        Worker(study, runs).work()
    except Interrupted:
        code = 130
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait_for_study(name: str, config: Config, runs: Path) -> Any:
    """Return the study; workers may be started on many machines before somebody starts the study on one."""
    until = time.monotonic() + config.workers.wait_s
    while True:
        try:
            study = load_study(name, config, runs)
            if "config" in study.user_attrs and "run_id" in study.user_attrs:
                return study
            missing = StudyError(f"the study {name} was made and not started. Give its command, +sweep=…, again.")
        except StudyError as error:
            missing = error
        if time.monotonic() > until:
            raise missing
        time.sleep(_LOOK_S)
