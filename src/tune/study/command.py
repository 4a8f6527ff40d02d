"""What `python -m tune +sweep=NAME` does: check, summarise, run or go on."""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tune import paths
from tune.config.compose import difference
from tune.config.guards import impossible_guards
from tune.config.metrics import metric_names
from tune.config.schema import Config
from tune.data.splits import Splits
from tune.disk import refuse_network_disk
from tune.errors import AssetError, ConfigError, TuneError, nearest
from tune.study.database import sqlite_file, storage_url, unless_away
from tune.study.finals import are_due, run_finals_apart
from tune.study.needs import refuse_missing
from tune.study.progress import Screen
from tune.study.record import send_what_waits
from tune.study.rows import DATA, refuse_other_rows
from tune.study.space import Space, Span, parse_space
from tune.study.storage import StudyFolder, open_study, snapshot, study_name
from tune.study.summary import state, summary
from tune.study.supervisor import Supervisor, alone
from tune.study.verdict import verdict_tags
from tune.study.worker import check_room
from tune.track.buffer import BufferedRecorder, buffered_run
from tune.track.environment import environment
from tune.track.folder import check_writable
from tune.track.place import open_store
from tune.track.recorder import RunStatus
from tune.track.records import StudyRecord
from tune.track.repeats import best_points
from tune.track.store import RunStore
from tune.trial.bar import Bar
from tune.trial.task import read_task

_SETTLED = "settled"
"""Attribute of a study whose record says all that there is to say."""

_SEND_S = 30.0
_WAITING = (
    "MLflow is away and does not show all of this study yet; {n} lines wait in {folder}. "
    "When it is back: python -m tune doctor {name} doctor.fix=true"
)


def check_study(config: Config) -> tuple[Space, Splits]:
    """Return the search space and the data; everything that can be known to be wrong is said now.

    Raises:
        ConfigError: The space or the objective is not allowed.
        DataError: A data file is missing or broken.
    """
    assert config.sweep is not None
    study_name(config)
    space = parse_space(config)
    check_aims(config)
    with Bar() as bar:
        return space, read_task(config, bar).splits


def check_aims(config: Config) -> None:
    """Refuse an objective or a guard that no evaluation gives.

    Raises:
        ConfigError: So it is.
    """
    assert config.sweep is not None
    known = metric_names(config)
    key = "sweep.objectives: metric" if config.sweep.objectives else "sweep.objective.metric"
    unknown = [one.metric for one in config.sweep.all_objectives if one.metric not in known]
    wrong = [f"{key}={metric} is produced by no evaluation here. {nearest(metric, known)}" for metric in unknown]
    wrong += impossible_guards(config.sweep.guards, known)
    if wrong:
        raise ConfigError(" ".join(wrong))


def run_study(config: Config) -> StudyRecord:
    """Run the study to its end, or go on with it, and return it.

    Raises:
        TuneError: The user can do something about it.
        KeyboardInterrupt: Somebody asked to stop.
    """
    space, splits = check_study(config)
    refuse_missing(config, space)
    runs = paths.runs_dir(config.track.folder)
    check_writable(runs)
    _refuse_network_disks(config, runs)
    study, is_new = open_study(config, runs)
    if known := study.user_attrs.get(DATA):
        refuse_other_rows(known, splits, study=study_name(config))
    else:
        study.set_user_attr(DATA, dict(splits.digests))
    screen = Screen()
    folder = StudyFolder(runs=runs, name=study_name(config))
    now = snapshot(study, folder)
    screen.summary(summary(config, space, runs, splits, how_far=state(now, is_new=is_new)), title=study_name(config))
    if now.done >= now.n_trials and study.user_attrs.get(_SETTLED) and not are_due(now, config):
        return now
    if now.done < now.n_trials:
        check_room(runs, config)
        advice = _make_ready(config, space)
        for sentence in advice if is_new else ():
            screen.warn(sentence)
    with alone(folder):
        return _supervise(study, config, folder, screen, splits, is_done=now.done >= now.n_trials)


def _supervise(
    study: Any, config: Config, folder: StudyFolder, screen: Screen, splits: Splits, *, is_done: bool
) -> StudyRecord:
    store = open_store(config.track, folder.runs)
    store.prepare()
    recorder = _record(study, config, store, folder)
    status = RunStatus.killed
    try:
        recorder.text("environment.txt", "\n".join(f"{key}: {value}" for key, value in environment().items()))
        recorder.text("data.json", splits.to_json())
        with nullcontext() if is_done else screen:
            now = Supervisor(study=study, config=config, runs=folder.runs, store=store, watcher=screen).run()
        if are_due(now, config):
            run_finals_apart(study, config, folder)
            now = snapshot(study, folder)
        recorder.metrics(_best(now))
        if now.verdict:
            recorder.tags(verdict_tags(now.verdict))
        status = parent_status(now)
    except TuneError:
        raise  # it pauses: the same command goes on
    except Exception:
        status = RunStatus.failed
        raise
    finally:
        recorder.finish(status)
        recorder.close(_SEND_S)
        with unless_away():  # then it was said already, and the next command sends
            n_waiting = send_what_waits(study, store, folder)
            study.set_user_attr(_SETTLED, not n_waiting and status is not RunStatus.killed)
            if n_waiting:
                screen.warn(_WAITING.format(n=n_waiting, folder=folder.path, name=folder.name))
    return now


def _refuse_network_disks(config: Config, runs: Path) -> None:
    """Refuse to keep sqlite's files on another machine's disk.

    Raises:
        StudyError: The study's database or MLflow's would be there.
    """
    if file := sqlite_file(storage_url(config, runs)):
        refuse_network_disk(file.parent)
    if paths.tracking_uri(config.track.uri) is None:
        refuse_network_disk(runs)


def _best(now: StudyRecord) -> dict[str, float]:
    """Return the best value of every objective; with several, that of one point need not be another's."""
    best = best_points(now)  # with one seed each, a point is a trial
    return {
        f"best/{one.metric}": max(best, key=lambda point: one.good(point.means())).mean(one.metric)
        for one in (now.objectives if best else ())
    }


def parent_status(now: StudyRecord) -> RunStatus:
    """Return what the run of a study that nobody runs must say."""
    if now.done < now.n_trials:
        return RunStatus.killed  # it was stopped early
    return RunStatus.finished if now.ranked() else RunStatus.failed


def _record(study: Any, config: Config, store: RunStore, folder: StudyFolder) -> BufferedRecorder:
    """Return the recorder of the study's own run."""
    assert config.sweep is not None
    run_id = store.study_run(folder.name, tags={"tune.question": config.sweep.question}).run_id
    study.set_user_attr("run_id", run_id)
    return buffered_run(store, folder.path, name=folder.name, study_run_id=None, tags={}, run_id=run_id)


def _make_ready(config: Config, space: Space) -> list[str]:
    """Get the model and make the tokens before workers start, in a process of its own: both need heavy libraries.

    A chat template that does not fit the model or the rows is refused here, and not by every trial; so are general
    rows that cannot be used, with the largest share that is searched. Return what the size of the data makes advisable,
    in sentences.

    Raises:
        AssetError: It could not be done; the reason was printed.
    """
    used = ("model.", "data.", "lora.", "evaluate.", "train.")  # lora.: the advice names the rank
    words = [word for word in difference(config) if word.startswith(used)] + _most_mixed(space)
    command = [sys.executable, "-m", "tune", "data", "report.format=json", *words]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE)
    if done.returncode:
        msg = "no trial was started, because model and data could not be made ready; the reason stands above."
        raise AssetError(msg)
    return [str(sentence) for sentence in json.loads(done.stdout)["advice"]]


def _most_mixed(space: Space) -> list[str]:
    """Return the largest share of general rows that is searched, as an override; with 0 they would not be read."""
    searched = [dimension for dimension in space.dimensions if dimension.key == "data.mix.share"]
    tops = [one.high if isinstance(one, Span) else max(one.values, key=float) for one in searched]
    return [f"data.mix.share={top}" for top in tops]
