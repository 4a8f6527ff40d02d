"""A study as its user runs it: real processes, each test with its own runs folder; what they left behind is read here.

The cache stands beside the runs folder, as `cache`; tests that share one put a link there.
"""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil

from tune.config.compose import compose
from tune.files import read_json
from tune.study.visit import read_study
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunRecord

SMALL = ["data.n_train=16", "data.n_validation=4", "data.n_test=2", "data.max_new_tokens=8", "evaluate.finalists=0"]
CONF = Path(__file__).parent / "conf"
CELLS = [
    *("--config-dir", str(CONF), "+sweep=cells", "model=tiny", *SMALL, "data.n_train=40", "evaluate.general=none"),
    # Twenty batches an epoch, ten steps; dropout, and losses summed over two batches: all that a resume must get right.
    *("lora.dropout=0.1", "train.batch_size=2", "train.accumulation=2", "train.epochs=6"),
    *("workers.count=1", "workers.threads=1"),
]
"""Four trials of 60 steps, about two seconds each, one after the other."""

LONGER = "train.epochs=30"
"""300 steps, about ten seconds: there is time to do something while a trial trains."""

_POLL_S = 0.02
_STARTED: list[subprocess.Popen[str]] = []


def tune(*words: str, folder: Path, timeout: float = 500, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "tune", *words, f"track.folder={folder}"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=environment(folder, **variables)
    )


def started(*words: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
    """Start a command in a session of its own, so that a signal to its group meets nobody else."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tune", *words, f"track.folder={folder}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(folder, **variables),
        start_new_session=True,
    )
    _STARTED.append(process)
    return process


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a study in this runs folder."""
    return {**os.environ, "TUNE_CACHE": str(folder.parent / "cache"), **variables}


# What goes on


def wait_until(holds: Callable[[], Any], what: str, *, limit_s: float = 240) -> Any:
    """Return the first true answer; fail, saying what was waited for, when there is none in time."""
    until = time.monotonic() + limit_s
    while not (answer := holds()):
        assert time.monotonic() < until, f"in {limit_s:g} s it did not happen that {what}"
        time.sleep(_POLL_S)
    return answer


def wait_for_training(
    folder: Path, *, study: str = "smoke", trial: int = 0, step: int = 1, after: float = 0, limit_s: float = 240
) -> int:
    """Wait until a trial has trained so many steps, and return how many it has; only news from after a time count."""

    def trained() -> int:
        file = trial_folder(folder, study, trial) / "progress.json"
        now = read_json(file)
        is_news = now is not None and file.stat().st_mtime > after
        return int(str(now["done"])) if now and is_news and now["phase"] == "train" else 0

    wait_until(lambda: trained() >= step, f"trial {trial} trained {step} steps", limit_s=limit_s)
    return max(step, trained())


def wait_for_phase(folder: Path, *, study: str, phase: str, trial: int = 0) -> None:
    """Wait until a trial is at something else than training, for example `answers`."""
    file = trial_folder(folder, study, trial) / "progress.json"
    wait_until(lambda: (read_json(file) or {}).get("phase") == phase, f"trial {trial} came to {phase}")


def trial_folder(folder: Path, study: str, trial: int) -> Path:
    """Return the folder of a trial."""
    return folder / "studies" / study / "trials" / f"{trial:04d}"


def processes() -> list[str]:
    """Return the command lines of all processes."""
    return [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes that name a runs folder."""
    everybody = psutil.process_iter(["cmdline"])
    return [process for process in everybody if any(str(folder) in word for word in process.info["cmdline"] or [])]


def workers(study: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the workers of a study that runs."""
    found = []
    for process in psutil.Process(study.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += [process] if "worker" in process.cmdline() else []
    return found


def alive(process: psutil.Process) -> bool:
    """Return whether a process runs; one that nobody has buried yet does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def kill_study(study: subprocess.Popen[str]) -> None:
    """Kill supervisor and workers with SIGKILL, as a machine does that loses its power."""
    if study.poll() is None:
        supervisor = psutil.Process(study.pid)
        supervisor.suspend()  # it starts nobody while its children are listed
        for process in [*supervisor.children(recursive=True), supervisor]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    study.communicate(timeout=30)


def kill_all() -> None:
    """Kill what tests started and did not end, so that the failure of one is not the next one's."""
    while _STARTED:
        kill_study(_STARTED.pop())


# What was left behind


def record(study: str, folder: Path) -> dict[str, Any]:
    """Return the report of a study, as `report.format=json` prints it."""
    return read_study(study, compose([f"track.folder={folder}"])).to_json()


def runs_of(study: str, folder: Path) -> dict[str, RunRecord]:
    """Return the MLflow runs of a study by their trial's number; a trial has one."""
    children = MlflowStore(folder, "tune").children(record(study, folder)["run_id"])
    by_trial = {run.tags["tune.trial"]: run for run in children}
    assert len(by_trial) == len(children), "a trial has two runs"
    return by_trial


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows that a database itself has, whatever our code says of it."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def states(folder: Path) -> dict[str, list[str]]:
    """Return the states of attempts and of runs, parents too, as both databases have them."""
    return {
        "attempts": [row[0] for row in query(folder / "optuna.db", "SELECT state FROM trials ORDER BY number")],
        "runs": [row[0] for row in query(folder / "mlflow.db", "SELECT status FROM runs ORDER BY start_time")],
    }


def attempts_at(study: str, folder: Path, trial: int) -> list[dict[str, Any]]:
    """Return all attempts at a trial, first one first: state, and the attributes that the study wrote."""
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    trials = optuna.load_study(study_name=study, storage=storage).get_trials(deepcopy=False)
    own = [attempt for attempt in trials if attempt.user_attrs.get("root", attempt.number) == trial]
    return [{"number": attempt.number, "state": attempt.state.name, **attempt.user_attrs} for attempt in own]


def numbers(study: str, folder: Path) -> dict[str, dict[str, float]]:
    """Return the metrics of each complete trial by its parameters; what it cost is left out."""
    return {
        json.dumps([trial["seed"], trial["parameters"]], sort_keys=True): {
            name: value for name, value in trial["metrics"].items() if not name.startswith("cost/")
        }
        for trial in record(study, folder)["trials"]
        if trial["state"] == "complete"
    }


def adapters(study: str, folder: Path) -> dict[str, str]:
    """Return a digest of each complete trial's adapter, all its files, by the trial's parameters."""
    return {
        json.dumps([trial["seed"], trial["parameters"]], sort_keys=True): folder_sha256(
            trial_folder(folder, study, trial["number"]) / "adapter"
        )
        for trial in record(study, folder)["trials"]
        if trial["state"] == "complete"
    }


def folder_sha256(folder: Path) -> str:
    """Return one digest of all files of a folder, names and contents."""
    files = sorted(folder.iterdir())
    assert files, f"{folder} is empty"
    return hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()


def checkpoints(study: str, folder: Path, trial: int) -> list[Path]:
    """Return the checkpoints of a trial, oldest first."""
    return sorted((trial_folder(folder, study, trial) / "checkpoints").glob("step-*"))


def only_run(folder: Path) -> dict[str, Any]:
    """Return the outcome of the one trial that was run without a study, and its scores."""
    (trial,) = (folder / "trials").glob("*")
    outcome, scores = (json.loads((trial / name).read_text()) for name in ("outcome.json", "scores.json"))
    return {**outcome, "scores": scores}
