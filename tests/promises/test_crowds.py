"""Many at once: workers that meet a database in which nothing is, and processes that all want its one lock."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import psutil
import pytest

from tests.postgres import Postgres
from tests.promises.study_process import CELLS, CONF, environment, processes_of, query, started, tune, wait_until
from tune.config.compose import compose
from tune.study.storage import open_study

N_WORKERS = 6
N_ROUNDS = 3
FEW_TRIALS = ["train.epochs=1", "study.n_trials=2"]  # most of the crowd finds nothing left to do


@pytest.mark.promise(9)
@pytest.mark.slow
@pytest.mark.long
def test_workers_that_wait_for_a_sqlite_file_all_start(runs: Path, evidence) -> None:
    told = []
    for number in range(N_ROUNDS):
        folder = runs.parent / f"round-{number}"
        told.append(gathered(folder))

        ends = query(folder / "optuna.db", "SELECT state FROM trials")
        points = query(folder / "optuna.db", "SELECT value_json FROM trial_user_attributes WHERE key = 'point'")
        assert ends == [("COMPLETE",)] * 2
        assert len(set(points)) == 2
    evidence(f"sqlite, {N_WORKERS} workers before their study, {N_ROUNDS} times: {'; '.join(told)}")


@pytest.mark.promise(9)
@pytest.mark.slow
@pytest.mark.long
def test_workers_that_meet_an_empty_postgresql_database_all_start(runs: Path, postgres: Postgres, evidence) -> None:
    told = []
    for number in range(N_ROUNDS):
        url = postgres.url("crowd")
        told.append(gathered(runs.parent / f"round-{number}", TUNE_STORAGE=url))

        with postgres.connect("crowd") as connection:
            ends = connection.execute("SELECT state FROM trials").fetchall()
            points = connection.execute("SELECT value_json FROM trial_user_attributes WHERE key = 'point'").fetchall()
        assert ends == [("COMPLETE",)] * 2
        assert len(set(points)) == 2
    evidence(f"PostgreSQL, {N_WORKERS} workers before their study, {N_ROUNDS} times: {'; '.join(told)}")


def gathered(folder: Path, **variables: str) -> str:
    """Let workers wait for a study, start it, and see all of them out; return how it went."""
    crowd = [started("worker", "cells", "workers.wait_s=240", folder=folder, **variables) for _ in range(N_WORKERS)]
    wait_until(lambda: all(map(looks_for_its_study, crowd)), "all workers look for their study")
    assert [worker.poll() for worker in crowd] == [None] * N_WORKERS

    done = tune(*CELLS, *FEW_TRIALS, folder=folder, **variables)

    assert done.returncode == 0, done.stderr
    said = [worker.communicate(timeout=120)[1] for worker in crowd]
    assert [worker.returncode for worker in crowd] == [0] * N_WORKERS, said
    assert not [words for words in said if "already exists" in words or "Traceback" in words]
    assert "2 of 2 trials ended (2 complete" in done.stdout
    assert processes_of(folder) == []
    return f"{N_WORKERS} exit codes 0, 2 of 2 complete, none twice"


def looks_for_its_study(worker: "subprocess.Popen[str]") -> bool:
    """Return whether a worker has what it opens a database with: numpy comes with Optuna."""
    return any("numpy" in place.path for place in psutil.Process(worker.pid).memory_maps())


def test_a_worker_waits_no_longer_for_a_study_that_was_made_and_not_started(runs: Path) -> None:
    open_study(compose(["+sweep=spread"], config_dir=CONF), runs)

    done = tune("worker", "spread", "workers.wait_s=1", folder=runs, timeout=60)

    assert done.returncode == 2
    assert "the study spread was made and not started" in done.stderr


@pytest.mark.promise(10)
@pytest.mark.slow
def test_eight_processes_at_one_sqlite_file_lose_nothing_and_tell_nothing_twice(runs: Path, evidence) -> None:
    n_trials, n_processes = 120, 8
    config = compose(["+sweep=spread", "study.sampler=random", f"study.n_trials={n_trials}"], config_dir=CONF)
    open_study(config, runs)
    go = runs / "go"
    command = [sys.executable, str(Path(__file__).with_name("claim_and_tell.py")), "spread", str(runs), str(go)]
    crowd = [
        subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=environment(runs))
        for _ in range(n_processes)
    ]
    wait_until(lambda: len(list(runs.glob("go.*"))) == n_processes, "all are at the start")

    go.touch()
    began = time.monotonic()
    said = [process.communicate(timeout=300) for process in crowd]
    seconds = time.monotonic() - began

    assert [process.returncode for process in crowd] == [0] * n_processes, said
    assert [errors for _, errors in said] == [""] * n_processes
    did = [json.loads(words) for words, _ in said]
    told = sorted(number for one in did for number in one["told"])
    assert told == list(range(n_trials)), "each was told by one of them"
    assert not any(one["refused"] or one["torch"] for one in did)
    assert query(runs / "optuna.db", "SELECT number, state FROM trials ORDER BY number") == [
        (number, "COMPLETE") for number in range(n_trials)
    ]
    sql = "SELECT t.number, v.value FROM trial_values v JOIN trials t USING (trial_id) ORDER BY t.number"
    assert query(runs / "optuna.db", sql) == [(number, number / 1000) for number in range(n_trials)]
    points = query(runs / "optuna.db", "SELECT value_json FROM trial_user_attributes WHERE key = 'point'")
    assert len(set(points)) == n_trials
    claims = [second for one in did for second in one["claim_s"]]
    evidence(
        f"{n_processes} processes, {n_trials} claims and results in {seconds:.0f} s: each once; "
        f"a claim took {statistics.median(claims):.2f} s in the middle and {max(claims):.2f} s at most"
    )


@pytest.mark.promise(10)
def test_a_disk_of_another_machine_is_refused_by_the_command_line(runs: Path, evidence) -> None:
    runs.mkdir()
    mounts = runs.parent / "mountinfo"
    mounts.write_text(f"{Path('/proc/self/mountinfo').read_text()}9 1 0:9 / {runs} rw - nfs4 server:/runs rw\n")
    # A mount namespace of its own, in which this process, and it alone, reads what we wrote of its mounts.
    shell = f'mount --bind "{mounts}" "/proc/$$/mountinfo" && exec "$@"'
    tune_words = [sys.executable, "-m", "tune", *CELLS, f"track.folder={runs}"]
    unshare = shutil.which("unshare")
    probe = [unshare or "false", "-m", "sh", "-c", shell, "sh", "true"]
    if unshare is None or subprocess.run(probe, check=False, capture_output=True).returncode:
        skip_or_fail("a mount namespace cannot be had here")

    done = subprocess.run(
        [*probe[:-1], *tune_words], capture_output=True, text=True, timeout=120, check=False, env=environment(runs)
    )
    with_a_server = subprocess.run(
        [*probe[:-1], *tune_words, "study.storage=postgresql+psycopg://nobody@127.0.0.1:1/none"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(runs),
    )

    for refused in (done, with_a_server):  # the second for MLflow's file, which would be there too
        assert refused.returncode == 2, refused.stderr
        assert f"{runs} is on a network file system (nfs4)" in refused.stderr
        assert "Set track.folder to a folder on a local disk" in refused.stderr
    assert list(runs.iterdir()) == [], "nothing was begun there"
    evidence(
        "a runs folder that mountinfo, handed to the real command in a mount namespace, calls nfs4: code 2, advice"
    )


def skip_or_fail(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
