"""SIGKILL to a trial, to the whole study, to who claims, to who reaps, and to the supervisor."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.promises.study_process import (
    CELLS,
    LONGER,
    adapters,
    alive,
    attempts_at,
    kill_study,
    numbers,
    query,
    record,
    runs_of,
    started,
    states,
    tune,
    wait_for_training,
    wait_until,
    workers,
)
from tune.files import read_json

EVERYBODY = 5
"""So many times fewer kills, where each is of everybody."""


@pytest.mark.promise(1)
@pytest.mark.slow
def test_a_trial_that_is_killed_has_failed_and_the_others_finish(runs: Path, evidence) -> None:
    study = started(*CELLS, folder=runs)
    step = wait_for_training(runs, study="cells", trial=1)
    (worker,) = workers(study)

    worker.kill()
    _, said = study.communicate(timeout=300)

    assert study.returncode == 0, said
    trials = record("cells", runs)["trials"]
    assert [trial["state"] for trial in trials] == ["complete", "failed", "complete", "complete"]
    assert trials[1]["reason"] == "killed"
    assert "SIGKILL" in trials[1]["message"]
    assert runs_of("cells", runs)["1"].status == "failed"
    found = states(runs)
    assert sorted(found["attempts"]) == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    assert sorted(found["runs"]) == ["FAILED", "FINISHED", "FINISHED", "FINISHED", "FINISHED"]
    evidence(f"trial 1 killed at step {step}: {trials[1]['reason']}; optuna.db and mlflow.db hold no RUNNING")


@pytest.mark.promise(2)
@pytest.mark.slow
@pytest.mark.long
def test_a_study_killed_at_random_moments_ends_as_if_it_never_was(
    runs: Path, tmp_path: Path, evidence, n_kills: int
) -> None:
    words = [*CELLS, LONGER, "workers.checkpoint_s=0.5"]
    moments = random.Random(7)
    waits = [moments.uniform(0.5, 9) if number % 2 else moments.uniform(0, 3) for number in range(n_kills // EVERYBODY)]
    finished: dict[int, Any] = {}

    for number, wait in enumerate(waits):
        begun = time.time()
        study = started(*words, folder=runs)
        if number % 2 == 0:  # from the first step on; the others from the command on, so while processes start too
            wait_until(lambda since=begun: trains(runs, since), "a trial trains")
        time.sleep(wait)
        assert study.poll() is None, "the study ended before all kills were done"
        kill_study(study)
        now = ended_attempts(runs)
        assert finished.items() <= now.items(), "an attempt that had ended was changed"
        finished = now
    done = tune(*words, folder=runs)
    again = tune(*words, folder=runs)

    assert done.returncode == 0, done.stderr
    assert finished.items() <= ended_attempts(runs).items()
    report = record("cells", runs)
    assert report["states"] == {"waiting": 0, "running": 0, "complete": 4, "pruned": 0, "infeasible": 0, "failed": 0}
    assert [trial["number"] for trial in report["trials"]] == [0, 1, 2, 3]
    assert "4 of 4 trials have ended" in again.stderr
    found = states(runs)
    assert found["attempts"].count("COMPLETE") == 4
    assert set(found["runs"]) == {"FINISHED"}
    assert len(found["runs"]) == 5
    n_resumed = len(found["attempts"]) - 4
    other = tmp_path / "unbroken"
    unbroken = tune(*CELLS, LONGER, folder=other)
    assert unbroken.returncode == 0, unbroken.stderr
    assert numbers("cells", runs) == numbers("cells", other)
    assert adapters("cells", runs) == adapters("cells", other)
    evidence(
        f"killed {', '.join(f'{wait:.1f}' for wait in waits)} s after the first step and after the start in turn: "
        f"4 of 4 complete in {n_resumed + 4} attempts, metrics and adapter bytes of an unbroken study"
    )


@pytest.mark.promise(2)
@pytest.mark.slow
@pytest.mark.long
def test_a_trial_that_gets_on_is_not_given_up_however_often_the_study_is_killed(runs: Path, evidence) -> None:
    words = [*CELLS, LONGER, "workers.checkpoint_s=0", "study.n_trials=1"]
    steps = []

    for _ in range(3):
        begun = time.time()
        study = started(*words, folder=runs)
        steps.append(wait_for_training(runs, study="cells", after=begun))
        kill_study(study)
    done = tune(*words, folder=runs)

    assert done.returncode == 0, done.stderr
    assert [trial["state"] for trial in record("cells", runs)["trials"]] == ["complete"]
    evidence(f"one trial, killed at steps {', '.join(map(str, steps))}: complete")


def trains(folder: Path, since: float) -> bool:
    """Return whether a trial of the study has trained a step since then."""
    news = [file for file in folder.glob("studies/cells/trials/*/progress.json") if file.stat().st_mtime > since]
    return any((read_json(file) or {}).get("phase") == "train" for file in news)


def ended_attempts(folder: Path) -> dict[int, Any]:
    """Return what the database holds of each attempt that has ended, by its number."""
    if not (folder / "optuna.db").is_file():
        return {}
    sql = """
        SELECT t.number, t.state, t.datetime_start, t.datetime_complete, v.value FROM trials t
        LEFT JOIN trial_values v ON v.trial_id = t.trial_id WHERE t.state IN ('COMPLETE', 'FAIL')
    """
    return {number: rest for number, *rest in query(folder / "optuna.db", sql)}


@pytest.mark.promise(5)
@pytest.mark.slow
@pytest.mark.parametrize("place", ["claim: asked", "claim: signed"])
def test_workers_that_die_while_they_claim_leave_nothing_stuck(runs: Path, evidence, place: str) -> None:
    words = [*CELLS, "workers.heartbeat_s=0.5", "workers.grace_s=2", "study.retries.killed=2"]

    dead = tune(*words, folder=runs, TUNE_FAILPOINT=place)
    stuck = states(runs)["attempts"]
    done = tune(*words, folder=runs)

    assert dead.returncode == 2
    assert "workers died in a row" in dead.stderr
    assert "COMPLETE" not in stuck
    assert done.returncode == 0, done.stderr
    assert record("cells", runs)["states"]["complete"] == 4
    found = states(runs)["attempts"]
    assert set(found) == {"COMPLETE", "FAIL"}
    assert found.count("COMPLETE") == 4
    evidence(f"{place}: {len(stuck)} attempts after three deaths, {len(found)} in all, 4 of 4 trials complete")


@pytest.mark.promise(6)
@pytest.mark.slow
def test_a_reaper_that_dies_anywhere_neither_loses_nor_doubles_a_retry(runs: Path, evidence) -> None:
    study = started(*CELLS, folder=runs)
    wait_for_training(runs, study="cells")
    kill_study(study)
    places = ("end: noted", "end: ended", "mend: followed")

    ends = [tune(*CELLS, folder=runs, TUNE_FAILPOINT=place).returncode for place in places]
    between = [attempt["state"] for attempt in attempts_at("cells", runs, 0)]
    done = tune(*CELLS, folder=runs)

    assert ends == [-signal.SIGKILL] * 3, "each reaper died at its place"
    assert between == ["FAIL", "WAITING"]
    assert done.returncode == 0, done.stderr
    tries = attempts_at("cells", runs, 0)
    assert [attempt["state"] for attempt in tries] == ["FAIL", "COMPLETE"]
    assert tries[1]["retry_of"] == tries[0]["number"]
    assert record("cells", runs)["states"]["complete"] == 4
    assert states(runs)["attempts"].count("COMPLETE") == 4
    assert set(states(runs)["runs"]) == {"FINISHED"}
    evidence(f"reapers killed at {', '.join(places)}: one retry of trial 0, 4 of 4 complete")


@pytest.mark.promise(8)
@pytest.mark.slow
def test_the_workers_of_a_dead_supervisor_are_gone_within_five_seconds(runs: Path, evidence) -> None:
    study = started(*CELLS, LONGER, "workers.count=2", folder=runs)
    wait_for_training(runs, study="cells")
    wait_until(lambda: len(workers(study)) == 2, "two workers run")
    there = workers(study)

    study.kill()
    killed = time.monotonic()
    wait_until(lambda: not any(map(alive, there)), "the workers are gone", limit_s=5)
    seconds = time.monotonic() - killed
    study.communicate(timeout=30)

    evidence(f"2 workers gone {seconds:.1f} s after their supervisor was killed")


@pytest.mark.promise(21)
@pytest.mark.slow
def test_a_bad_cell_fails_and_the_others_complete(runs: Path, evidence) -> None:
    done = tune(*[word.replace("sweep=cells", "sweep=bad_cell") for word in CELLS], folder=runs)

    assert done.returncode == 0, done.stderr
    trials = record("bad_cell", runs)["trials"]
    assert [trial["state"] for trial in trials] == ["complete", "failed", "complete"]
    assert (trials[1]["reason"], trials[1]["attempt"]) == ("diverged", 1), "it would diverge again"
    assert "3 of 3 trials ended (2 complete, 1 failed)" in done.stdout
    assert "trial 1 failed (diverged) learning_rate=" in done.stdout
    evidence(f"cell 1 of 3: {trials[1]['message']}")


@pytest.mark.promise(21)
@pytest.mark.slow
def test_a_cell_is_tried_again_as_often_as_asked(runs: Path, evidence) -> None:
    study = started(*CELLS, "study.n_trials=2", "study.retries.killed=1", folder=runs)
    pids = []
    for _ in range(2):
        (worker,) = wait_until(lambda: [w for w in workers(study) if w.pid not in pids], "a worker starts")
        pids.append(worker.pid)
        wait_until(lambda pid=worker.pid: runs_trial(runs, 0, pid), "it runs trial 0")
        worker.kill()
    shown, said = study.communicate(timeout=300)

    assert study.returncode == 0, said
    tries = attempts_at("cells", runs, 0)
    assert [(attempt["state"], attempt["reason"]) for attempt in tries] == [("FAIL", "killed")] * 2
    trials = record("cells", runs)["trials"]
    assert [(trial["state"], trial["attempt"]) for trial in trials] == [("failed", 2), ("complete", 1)]
    assert "trial 0 failed (killed)" in shown
    evidence("retries.killed=1: trial 0 killed in both attempts, then shown as failed; trial 1 complete")


def runs_trial(folder: Path, trial: int, pid: int) -> bool:
    """Return whether a process has claimed a trial; one that dies in its claim has run nothing of it."""
    last = attempts_at("cells", folder, trial)[-1]
    return f" {pid} " in last.get("worker", "") and "claim_s" in last
