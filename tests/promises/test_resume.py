"""What goes on goes on to the same end: bytes, numbers, and points that were never tried."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.promises.study_process import (
    CELLS,
    adapters,
    attempts_at,
    checkpoints,
    kill_study,
    numbers,
    record,
    runs_of,
    started,
    tune,
    wait_for_training,
    wait_until,
    workers,
)

SPREAD = [*(word.replace("sweep=cells", "sweep=spread") for word in CELLS), "train.epochs=1", "workers.count=2"]


@pytest.mark.promise(17)
@pytest.mark.slow
@pytest.mark.parametrize(("number", "every_s"), [(signal.SIGKILL, 0), (signal.SIGTERM, 60)], ids=["SIGKILL", "SIGTERM"])
def test_trainings_that_were_cut_off_end_with_the_same_bytes(
    runs: Path, unbroken: Path, evidence, number: signal.Signals, every_s: int
) -> None:
    study = started(*CELLS, f"workers.checkpoint_s={every_s}", "study.retries.killed=2", folder=runs)

    # Ten steps an epoch. A trial that was cut off goes to the end of the queue; trial 2 is left alone, because of
    # three deaths in a row without a result between them the supervisor makes an end.
    steps = [cut_off(study, runs, trial, step, number) for trial, step in ((0, 4), (1, 23), (3, 44))]
    last = "step-00000060"
    wait_until(lambda: last in [path.name for path in checkpoints("cells", runs, 0)], "trial 0 was trained")
    (worker,) = workers(study)
    worker.send_signal(number)  # while the adapter is saved or scored
    _, said = study.communicate(timeout=300)

    assert study.returncode == 0, said
    tries = [trial["attempt"] for trial in record("cells", runs)["trials"]]
    assert tries == [3, 2, 1, 2]
    tags = {trial: run.tags["tune.attempt"] for trial, run in runs_of("cells", runs).items()}
    assert tags == {"0": "3", "1": "2", "2": "1", "3": "2"}, "it goes on in its own run"
    assert adapters("cells", runs) == adapters("cells", unbroken)
    assert numbers("cells", runs) == numbers("cells", unbroken)
    digests = ", ".join(digest[:8] for digest in adapters("cells", runs).values())
    evidence(
        f"{number.name} at steps {', '.join(map(str, steps))} and after the last of 60: "
        f"sha256 {digests} as in an unbroken study"
    )


def cut_off(study: subprocess.Popen[str], runs: Path, trial: int, step: int, number: signal.Signals) -> int:
    """Send a signal to the worker when its trial is at a step; return the step that was seen."""
    seen = wait_for_training(runs, study="cells", trial=trial, step=step)
    (worker,) = workers(study)
    worker.send_signal(number)
    return seen


@pytest.mark.promise(18)
@pytest.mark.slow
def test_the_same_seed_twice_gives_the_same_numbers_and_bytes(runs: Path, unbroken: Path, evidence) -> None:
    done = tune(*CELLS, folder=runs)

    assert done.returncode == 0, done.stderr
    assert numbers("cells", runs) == numbers("cells", unbroken)
    assert adapters("cells", runs) == adapters("cells", unbroken)
    assert len(set(adapters("cells", runs).values())) == 4, "four cells, four adapters"
    n_metrics = len(next(iter(numbers("cells", runs).values())))
    evidence(f"4 trials, {n_metrics} metrics each and the adapters' sha256 are equal")


@pytest.mark.promise(19)
@pytest.mark.slow
def test_no_starting_point_is_tried_twice_over_a_kill_and_parallel_workers(runs: Path, evidence) -> None:
    study = started(*SPREAD, folder=runs)
    wait_until(lambda: n_complete(runs) >= 2, "two trials are complete")
    kill_study(study)
    # One that the kill met in its claim has no point yet.
    before = {t["number"]: t["parameters"] for t in record("spread", runs)["trials"] if t["parameters"]}

    done = tune(*SPREAD, "study.n_trials=9", folder=runs)

    assert done.returncode == 0, done.stderr
    trials = record("spread", runs)["trials"]
    after = {trial["number"]: trial["parameters"] for trial in trials}
    assert before.items() <= after.items()
    rates = [trial["parameters"]["train.learning_rate"] for trial in trials]
    assert len(rates) == len(set(rates)) == 9
    hosts = {attempt["worker"] for number in after for attempt in attempts_at("spread", runs, number)}
    assert len(hosts) >= 3, "more than one worker drew points, before and after the kill"
    evidence(
        f"{len(before)} points before the kill and {len(after) - len(before)} after it, {len(set(rates))} different"
    )


def n_complete(folder: Path) -> int:
    """Return how many trials have left their scores."""
    return len(list(folder.glob("studies/spread/trials/*/outcome.json")))
