"""The database's server and MLflow's go away in the middle of a study, and come back."""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Postgres
from tests.promises.study_process import (
    CELLS,
    adapters,
    folder_sha256,
    numbers,
    record,
    started,
    trial_folder,
    tune,
    wait_for_training,
    wait_until,
)
from tests.track.test_server import Server
from tune.config.compose import compose
from tune.study.record import send_what_waits
from tune.study.storage import StudyFolder, load_study
from tune.study.visit import read_study
from tune.track.mlflow_server import ServerStore
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunRecord, RunStatus
from tune.track.replay import unsent

N_STEPS = 60
AWAY_S = 5.0

# MLflow's own use of SQLAlchemy, on import
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An MLflow server that runs."""
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.stop(signal.SIGKILL)


@pytest.mark.promise(12)
@pytest.mark.slow
@pytest.mark.long
def test_an_mlflow_server_that_was_away_holds_every_step_of_every_trial_once(
    runs: Path, unbroken: Path, server: Server, evidence
) -> None:
    study = started(*CELLS, f"track.uri={server.uri}", folder=runs)
    step = wait_for_training(runs, study="cells", trial=1, step=10)
    server.stop(signal.SIGTERM)
    stopped = time.monotonic()
    wait_until(lambda: state(runs, 2) == "complete", "trials 1 and 2 end while the server is away")
    n_waiting = unsent(trial_folder(runs, "cells", 1))
    server.start()
    away_s = time.monotonic() - stopped
    _, said = study.communicate(timeout=300)

    assert study.returncode == 0, said
    assert n_waiting > N_STEPS - step, "trial 1 went on without it"
    assert n_unsent(runs) == 0, said
    check_all_is_there(server, runs)
    assert numbers("cells", runs) == numbers("cells", unbroken)
    assert adapters("cells", runs) == adapters("cells", unbroken)
    evidence(
        f"away for {away_s:.0f} s from step {step} of trial 1 on, trials 1 and 2 ended, {n_waiting} lines of trial 1 "
        f"waited; afterwards {N_STEPS} of {N_STEPS} steps of 4 trials in the server, each once, none unsent"
    )


@pytest.mark.promise(12)
@pytest.mark.slow
@pytest.mark.long
def test_a_study_that_ends_without_its_mlflow_server_says_what_waits(runs: Path, server: Server, evidence) -> None:
    study = started(*CELLS, f"track.uri={server.uri}", folder=runs)
    step = wait_for_training(runs, study="cells", trial=2, step=10)
    server.stop(signal.SIGTERM)
    _, said = study.communicate(timeout=300)
    n_waiting = n_unsent(runs)

    assert study.returncode == 0, said
    assert record("cells", runs)["states"]["complete"] == 4
    assert n_waiting > N_STEPS
    told = " ".join(said.split())
    assert "MLflow is away" in told
    assert f"{n_waiting} lines wait in" in told
    assert "python -m tune doctor cells doctor.fix=true" in told
    server.start()
    store = ServerStore(server.uri, "tune", folder=runs)
    own = load_study("cells", compose([f"track.folder={runs}"]), runs)
    assert send_what_waits(own, store, StudyFolder(runs=runs, name="cells")) == 0
    check_all_is_there(server, runs)
    evidence(
        f"away from step {step} of trial 2 to after the end: code 0, standard error says that {n_waiting} lines wait; "
        "sent later, every step once"
    )


def check_all_is_there(server: Server, runs: Path) -> None:
    """Ask the server itself for the runs of the study and for each step of each of them."""
    store = ServerStore(server.uri, "tune", folder=runs)
    children = runs_in(store, runs)
    assert sorted(children) == ["0", "1", "2", "3"]
    for run in children.values():
        assert run.status is RunStatus.finished
        history = store.call("get_metric_history", run.run_id, "train/step_loss")
        assert Counter(point.step for point in history) == Counter(range(1, N_STEPS + 1))
        assert "task/score" in run.metrics
        files = {file.path for file in store.call("list_artifacts", run.run_id)}
        assert {"config.yaml", "outcome.json", "scores.json", "adapter"} <= files
    parent = store.call("get_run", record("cells", runs)["run_id"])
    assert parent.info.status == "FINISHED"


def runs_in(store: ServerStore, runs: Path) -> dict[str, RunRecord]:
    children = store.children(record("cells", runs)["run_id"])
    by_trial = {run.tags["tune.trial"]: run for run in children}
    assert len(by_trial) == len(children), "a trial has two runs"
    return by_trial


def state(runs: Path, trial: int) -> str:
    """Return what a trial is at."""
    found = read_study("cells", compose([f"track.folder={runs}"])).trials
    return next((one.state for one in found if one.number == trial), "")


def n_unsent(runs: Path) -> int:
    """Return how many lines of the study's journals wait."""
    return sum(unsent(journal.parent) for journal in (runs / "studies" / "cells").glob("**/run.jsonl"))


@pytest.mark.promise(11)
@pytest.mark.slow
@pytest.mark.long
def test_what_a_worker_wants_to_tell_while_postgresql_restarts_is_told_once(
    runs: Path, unbroken: Path, postgres: Postgres, evidence
) -> None:
    url = postgres.url("restarted")
    words = ["workers.heartbeat_s=1", "workers.grace_s=60"]  # signs of life meet the restarts too
    study = started(*CELLS, *words, folder=runs, TUNE_STORAGE=url)

    step = wait_for_training(runs, study="cells", trial=0, step=10)
    postgres.restart()
    wait_for_training(runs, study="cells", trial=1, step=N_STEPS - 5)
    postgres.stop()
    told = trial_folder(runs, "cells", 1) / "outcome.json"
    there_before = told.is_file()
    wait_until(told.is_file, "trial 1 has a result")
    time.sleep(AWAY_S)
    postgres.start()
    _, said = study.communicate(timeout=300)

    log = (runs / "studies" / "cells" / "workers.log").read_text()
    assert study.returncode == 0, f"{said}\n{log}"
    assert not there_before, "it may have been told before the server went away"
    assert "Traceback" not in said + log
    with postgres.connect("restarted") as connection:
        attempts = connection.execute("SELECT number, state FROM trials ORDER BY number").fetchall()
        values = connection.execute("SELECT count(*) FROM trial_values").fetchone()
    assert attempts == [(number, "COMPLETE") for number in range(4)], log
    assert values == (4,)
    shown = tune("report", "cells", "report.format=json", folder=runs, TUNE_STORAGE=url)
    trials = json.loads(shown.stdout)["trials"]
    assert scores(trials) == scores(record("cells", unbroken)["trials"])
    assert folders_sha256(runs) == folders_sha256(unbroken)
    runs_there = MlflowStore(runs, "tune").children(json.loads(shown.stdout)["run_id"])
    assert [run.status for run in runs_there] == [RunStatus.finished] * 4
    evidence(
        f"restarted at step {step} of trial 0, and stopped for {AWAY_S:g} s when trial 1 had a result to tell: "
        "4 attempts, 4 COMPLETE, 4 values; metrics and adapter bytes of an unbroken study"
    )


@pytest.mark.promise(11)
@pytest.mark.slow
def test_a_database_that_stays_away_ends_the_study_with_advice_and_the_same_command_goes_on(
    runs: Path, postgres: Postgres, evidence
) -> None:
    url = postgres.url("away")
    words = [*CELLS, "study.n_trials=2", "study.storage_wait_s=2"]
    study = started(*words, folder=runs, TUNE_STORAGE=url)
    step = wait_for_training(runs, study="cells", trial=0, step=10)
    postgres.stop()
    stopped = time.monotonic()
    _, said = study.communicate(timeout=120)
    seconds = time.monotonic() - stopped
    postgres.start()
    done = tune(*words, folder=runs, TUNE_STORAGE=url)

    assert study.returncode == 2, said
    assert "the study's database is away" in said
    assert "When it is back, the same command goes on" in said
    assert "Traceback" not in said
    assert done.returncode == 0, done.stderr
    with postgres.connect("away") as connection:
        ends = connection.execute("SELECT state, count(*) FROM trials GROUP BY state").fetchall()
    assert ("COMPLETE", 2) in ends
    assert {state for state, _ in ends} <= {"COMPLETE", "FAIL"}
    evidence(f"stopped for good at step {step}: code 2 and advice {seconds:.0f} s later, then 2 of 2 complete")


def scores(trials: list[dict[str, Any]]) -> list[Any]:
    """Return what each trial was and scored; what it cost is left out."""
    return [
        (one["number"], one["seed"], one["parameters"], {k: v for k, v in one["metrics"].items() if k[:5] != "cost/"})
        for one in trials
    ]


def folders_sha256(runs: Path) -> list[str]:
    """Return a digest of each trial's adapter."""
    return [folder_sha256(trial_folder(runs, "cells", trial) / "adapter") for trial in range(4)]
