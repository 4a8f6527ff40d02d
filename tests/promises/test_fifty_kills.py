"""Fifty kills of whoever is there, over one study: what remains is the study that nothing happened to."""

import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.promises.study_process import (
    CELLS,
    adapters,
    alive,
    numbers,
    query,
    record,
    runs_of,
    started,
    states,
    tune,
    wait_until,
    workers,
)

N_TRIALS = 30
THIRTY = [
    *[word.replace("sweep=cells", "sweep=thirty") for word in CELLS],
    *("data.n_train=24", "train.epochs=10", "workers.count=2", "workers.checkpoint_s=0.2"),
    *("workers.heartbeat_s=1", "workers.grace_s=30", "study.retries.killed=100", "study.retries.lost=100"),
]
SUPERVISOR, WORKER, TRIAL = "supervisor", "worker", "trial"


@pytest.mark.promise(2)
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(2400)
def test_fifty_random_kills_change_nothing(runs: Path, tmp_path: Path, evidence, n_kills: int) -> None:
    chance = random.Random(50)
    killed: Counter[str] = Counter()
    began = time.monotonic()
    study = started(*THIRTY, folder=runs)
    while sum(killed.values()) < n_kills:
        time.sleep(chance.uniform(0.5, 6))  # a worker is there after about five seconds
        if study.poll() is not None:
            assert not finished(runs), f"all trials had ended after {sum(killed.values())} kills"
            study = started(*THIRTY, folder=runs)
            continue
        whom, how = (
            chance.choice((SUPERVISOR, WORKER, WORKER, TRIAL, TRIAL)),
            chance.choice((signal.SIGKILL, signal.SIGTERM)),
        )
        if kill(study, whom, how, chance, runs):
            killed[f"{whom} {how.name}"] += 1
    if study.poll() is None:
        study.communicate(timeout=900)
    done = tune(*THIRTY, folder=runs, timeout=900)
    seconds = time.monotonic() - began
    unbroken = tmp_path / "unbroken"
    whole = tune(*THIRTY, folder=unbroken, timeout=900)

    assert done.returncode == 0, done.stderr
    assert whole.returncode == 0, whole.stderr
    assert record("thirty", runs)["states"]["complete"] == N_TRIALS
    ends = Counter(states(runs)["attempts"])
    assert ends["COMPLETE"] == N_TRIALS
    assert set(ends) <= {"COMPLETE", "FAIL"}
    told = query(runs / "optuna.db", "SELECT trial_id, COUNT(*) FROM trial_values GROUP BY trial_id")
    assert sorted(n for _, n in told) == [1] * N_TRIALS, "a result was told twice"
    assert len({tuple(sorted(t["parameters"].items())) for t in record("thirty", runs)["trials"]}) == N_TRIALS
    assert numbers("thirty", runs) == numbers("thirty", unbroken)
    assert adapters("thirty", runs) == adapters("thirty", unbroken)
    assert Counter(run.status for run in runs_of("thirty", runs).values()) == {"finished": N_TRIALS}
    checkup = tune("doctor", "thirty", folder=runs)
    assert checkup.returncode == 0, checkup.stdout
    evidence(
        f"{n_kills} kills ({', '.join(f'{n} {what}' for what, n in sorted(killed.items()))}) in {seconds:.0f} s: "
        f"{N_TRIALS} COMPLETE of {sum(ends.values())} attempts, none twice, metrics and adapter bytes of the "
        "unbroken study, and doctor finds nothing"
    )


def kill(study: subprocess.Popen[str], whom: str, how: signal.Signals, chance: random.Random, runs: Path) -> bool:
    """Send a signal to somebody; return whether anybody was there."""
    if whom == SUPERVISOR:
        others = workers(study)
        study.send_signal(how)
        study.communicate(timeout=120)
        wait_until(lambda: not any(map(alive, others)), "the workers are gone", limit_s=30)
        return True
    crew = [worker for worker in workers(study) if whom == WORKER or runs_a_trial(worker, runs)]
    if not crew:
        return False
    with suppress(psutil.NoSuchProcess):
        chance.choice(crew).send_signal(how)
        return True
    return False


def runs_a_trial(worker: psutil.Process, runs: Path) -> bool:
    sql = (
        "SELECT a.value_json FROM trial_user_attributes a JOIN trials t USING (trial_id) "
        "WHERE a.key = 'worker' AND t.state = 'RUNNING'"
    )
    return any(f" {worker.pid} " in signature for (signature,) in query(runs / "optuna.db", sql))


def finished(runs: Path) -> bool:
    return (runs / "optuna.db").is_file() and states(runs)["attempts"].count("COMPLETE") == N_TRIALS
