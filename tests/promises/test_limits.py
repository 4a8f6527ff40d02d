"""What a trial may take: time, memory; and nothing at all where its result is known."""

import json
import time
from pathlib import Path

import psutil
import pytest

from tests.promises.study_process import (
    CELLS,
    folder_sha256,
    record,
    runs_of,
    started,
    states,
    trial_folder,
    tune,
    wait_for_training,
    wait_until,
    workers,
)

TWO = [*CELLS, "study.n_trials=2"]


@pytest.mark.promise(23)
@pytest.mark.slow
def test_a_trial_that_hangs_is_ended_at_its_time_and_the_next_one_starts(runs: Path, evidence) -> None:
    hang = f"trial: started=hang@{runs.parent / 'hung'}"

    began = time.monotonic()
    done = tune(*TWO, "workers.timeout_s=40", folder=runs, TUNE_FAILPOINT=hang)
    seconds = time.monotonic() - began

    assert done.returncode == 0, done.stderr
    trials = record("cells", runs)["trials"]
    assert [(trial["state"], trial["reason"]) for trial in trials] == [("failed", "timeout"), ("complete", None)]
    assert [run.status for _, run in sorted(runs_of("cells", runs).items())] == ["failed", "finished"]
    assert "RUNNING" not in {*states(runs)["attempts"], *states(runs)["runs"]}
    evidence(f"a sleeping trial: {trials[0]['message']} The other one complete, {seconds:.0f} s in all")


@pytest.mark.promise(23)
@pytest.mark.slow
def test_a_process_that_cannot_even_end_its_trial_is_ended_by_the_supervisor(runs: Path, evidence) -> None:
    # Frozen: neither the trial nor the thread that watches its time runs. Alive for longer than its grace.
    study = started(*TWO, "workers.timeout_s=30", "workers.grace_s=600", "train.epochs=3000", folder=runs)
    wait_for_training(runs, study="cells")
    (worker,) = workers(study)
    worker.suspend()
    frozen = time.monotonic()
    wait_until(lambda: not worker.is_running(), "it is ended", limit_s=60)
    seconds = time.monotonic() - frozen
    first = wait_until(
        lambda: [t for t in record("cells", runs)["trials"] if t["reason"] == "timeout"], "its trial has ended"
    )
    study.terminate()
    study.communicate(timeout=60)

    assert first[0]["state"] == "failed"
    evidence(f"a frozen worker was ended {seconds:.0f} s after it froze")


@pytest.mark.promise(24)
@pytest.mark.slow
def test_a_trial_that_eats_all_memory_dies_and_the_study_lives(runs: Path, evidence) -> None:
    words = [word.replace("sweep=cells", "sweep=greedy") for word in CELLS]
    # What begins from the weights cannot be estimated, so it is launched.
    steps = ["data.n_train=2000", "train.accumulation=1", "train.max_steps=3", "lora=olora"]

    done = tune(*words, *steps, "workers.memory_gib=2.5", folder=runs)

    assert done.returncode == 0, done.stderr
    trials = record("greedy", runs)["trials"]
    ends = [(trial["state"], trial["reason"]) for trial in trials]
    assert ends == [("complete", None), ("infeasible", "oom"), ("complete", None)]
    assert states(runs)["attempts"] == ["COMPLETE", "FAIL", "COMPLETE", "PRUNED"], (
        "tried again in smaller pieces; then the sampler sees that it cannot be had"
    )
    assert [run.status for _, run in sorted(runs_of("greedy", runs).items())] == ["finished", "failed", "finished"]
    assert "trial 1 infeasible (oom)" in done.stdout
    free = psutil.virtual_memory().available / 1024**3
    evidence(f"{trials[1]['message']} With half as many rows a pass too; the others complete, {free:.0f} GiB are free")


@pytest.mark.promise(20)
@pytest.mark.slow
def test_the_same_configuration_is_trained_once_unless_the_seed_differs(runs: Path, evidence) -> None:
    words = [word.replace("sweep=cells", "sweep=twins") for word in CELLS]

    done = tune(*words, "workers.count=2", "train.epochs=3", folder=runs)

    assert done.returncode == 0, done.stderr
    trials = record("twins", runs)["trials"]
    by_point: dict[str, list[dict]] = {}
    for trial in trials:
        by_point.setdefault(json.dumps(trial["parameters"], sort_keys=True), []).append(trial)
    assert len(trials) == 8
    # 1 x 8 and 1 x 8.2 are 8; 2 x 8 and 2 x 8.2 are 16: four different configurations with their seeds, each twice
    assert sorted(map(len, by_point.values())) == [2, 2, 2, 2]
    trained = [trial for trial in trials if not any("result was taken" in note for note in trial["notes"])]
    assert len(trained) == 4
    for first, second in by_point.values():
        assert first["metrics"] == second["metrics"]
        folders = [trial_folder(runs, "twins", trial["number"]) / "adapter" for trial in (first, second)]
        assert folder_sha256(folders[0]) == folder_sha256(folders[1])
    assert {run.status for run in runs_of("twins", runs).values()} == {"finished"}
    evidence("8 cells, 4 different ones: 4 trained, 4 taken from the record; two seeds of a point both trained")
