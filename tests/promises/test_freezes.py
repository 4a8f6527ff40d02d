"""A worker stands still for longer than its grace, and wakes up when its trial is somebody else's."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.promises.study_process import (
    CELLS,
    attempts_at,
    kill_study,
    query,
    record,
    runs_of,
    started,
    wait_for_training,
    wait_until,
)

IMPATIENT = ["workers.heartbeat_s=0.5", "workers.grace_s=2", "study.n_trials=2"]


@pytest.fixture(scope="module")
def woken(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[dict[str, Any]]:
    """A study with a second worker from another shell, which froze, was replaced, and woke up when all was complete."""
    top = tmp_path_factory.mktemp("woken")
    (top / "cache").symlink_to(cache)
    runs = top / "runs"
    study = started(*CELLS, *IMPATIENT, "train.epochs=12", folder=runs)
    guest = started("worker", "cells", folder=runs, OMP_NUM_THREADS="1")
    try:
        wait_until(lambda: list(runs.glob("studies/cells/trials/*/progress.json")), "a trial runs")
        (trial,) = wait_until(lambda: trials_of(guest.pid, runs), "the worker from another shell runs a trial")
        step = wait_for_training(runs, study="cells", trial=trial, step=3)
        frozen = freeze(attempts_at("cells", runs, trial)[0]["worker"])
        stopped = time.monotonic()
        wait_until(lambda: attempts_at("cells", runs, trial)[-1]["state"] == "COMPLETE", "another worker completed it")
        seconds = time.monotonic() - stopped
        _, said = study.communicate(timeout=200)
        before = query(runs / "optuna.db", "SELECT * FROM trials JOIN trial_values USING (trial_id)")
        with closing(sqlite3.connect(runs / "optuna.db")) as busy:  # its heart cannot look at once what became of it
            busy.execute("BEGIN EXCLUSIVE")
            frozen.resume()
            time.sleep(1)
        guest.communicate(timeout=100)
        seen = {"runs": runs, "code": study.returncode, "said": said, "guest": guest.returncode, "trial": trial}
        yield {**seen, "before": before, "step": step, "s": seconds}
    finally:
        kill_study(study)
        kill_study(guest)


def trials_of(pid: int, runs: Path) -> list[int]:
    """Return the trial that a process runs, or nothing."""
    tries = [(trial, attempts_at("cells", runs, trial)[-1]) for trial in (0, 1)]
    return [trial for trial, last in tries if last["state"] == "RUNNING" and f" {pid} " in last.get("worker", "")]


@pytest.mark.promise(7)
@pytest.mark.slow
def test_the_late_result_of_a_frozen_worker_is_refused(woken: dict[str, Any], evidence) -> None:
    runs = woken["runs"]

    assert woken["code"] == 0, woken["said"]
    assert woken["guest"] == 0, "it went on with what was left to do, which was nothing"
    first, second = attempts_at("cells", runs, woken["trial"])
    assert (first["state"], first["reason"], second["state"]) == ("FAIL", "lost", "COMPLETE")
    assert record("cells", runs)["states"]["complete"] == 2
    assert query(runs / "optuna.db", "SELECT * FROM trials JOIN trial_values USING (trial_id)") == woken["before"]
    assert {run.status for run in runs_of("cells", runs).values()} == {"finished"}
    evidence(
        f"frozen at step {woken['step']}, complete by another worker {woken['s']:.0f} s later; "
        "after it woke up both databases say what they said"
    )


@pytest.mark.promise(7)
@pytest.mark.slow
def test_a_woken_worker_draws_no_step_of_the_run_again(woken: dict[str, Any], evidence) -> None:
    runs = woken["runs"]
    run_id = record("cells", runs)["trials"][woken["trial"]]["run_id"]

    sql = f"SELECT step FROM metrics WHERE run_uuid = '{run_id}' AND key = 'train/step_loss'"
    times = Counter(step for (step,) in query(runs / "mlflow.db", sql))

    assert set(times) == set(range(1, 121))
    assert {step: n for step, n in times.items() if n > 1} == {}
    evidence("120 steps in MLflow, each once")


@pytest.mark.promise(7)
@pytest.mark.slow
def test_the_only_worker_freezes_and_another_takes_its_place(runs: Path, evidence) -> None:
    study = started(*CELLS, *IMPATIENT, folder=runs)
    wait_for_training(runs, study="cells", step=3)
    freeze(attempts_at("cells", runs, 0)[0]["worker"])
    stopped = time.monotonic()

    try:
        wait_until(
            lambda: attempts_at("cells", runs, 0)[-1]["state"] == "COMPLETE", "trial 0 was completed", limit_s=40
        )
        seconds = time.monotonic() - stopped
    finally:
        kill_study(study)

    evidence(f"the only worker froze: trial 0 complete {seconds:.0f} s later")


@pytest.mark.promise(7)
@pytest.mark.slow
def test_a_worker_that_freezes_with_the_lock_in_its_hands_is_ended_and_the_rest_goes_on(runs: Path, evidence) -> None:
    stop = f"claim: asked=stop@{runs.parent / 'stopped'}"
    began = time.monotonic()
    study = started(*CELLS, *IMPATIENT, "workers.count=2", folder=runs, TUNE_FAILPOINT=stop)
    _, said = study.communicate(timeout=240)
    seconds = time.monotonic() - began

    assert study.returncode == 0, said
    assert (runs.parent / "stopped").exists()
    assert record("cells", runs)["states"]["complete"] == 2
    evidence(f"frozen in a claim, holding the study's lock: ended, 2 of 2 complete {seconds:.0f} s after the start")


def freeze(worker: str) -> psutil.Process:
    """Stop the process of a worker where it holds no lock, which would stop the others too."""
    process = psutil.Process(int(worker.split(" ")[1]))
    for _ in range(50):
        process.suspend()
        time.sleep(0.05)
        held = [line for line in Path("/proc/locks").read_text().splitlines() if f" WRITE {process.pid} " in line]
        if not held:
            return process
        process.resume()
        time.sleep(0.01)
    pytest.fail("the worker held a lock whenever it was stopped")
