"""What is on the disk is whole or not there: a full file system, damaged files, a death inside a save."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.study_process import (
    CELLS,
    adapters,
    alive,
    attempts_at,
    checkpoints,
    kill_all,
    kill_study,
    processes_of,
    record,
    started,
    states,
    trial_folder,
    tune,
    wait_for_training,
    wait_until,
    workers,
)
from tune.files import is_intact, read_manifest

MOUNT, UMOUNT = (shutil.which(program) or program for program in ("mount", "umount"))
EVERY_STEP = "workers.checkpoint_s=0"


def is_whole(checkpoint: Path) -> bool:
    manifest = read_manifest(checkpoint)
    return manifest is not None and is_intact(checkpoint, manifest["recipe"])


@pytest.mark.promise(16)
@pytest.mark.slow
def test_of_damaged_checkpoints_the_one_before_is_used(runs: Path, unbroken: Path, evidence) -> None:
    study = started(*CELLS, EVERY_STEP, "study.retries.killed=2", "study.n_trials=1", folder=runs)
    told, after = [], 0.0
    for harm, least in (("truncated", 15), ("deleted", 35)):
        wait_for_training(runs, study="cells", step=least, after=after)
        (worker,) = workers(study)
        worker.kill()
        wait_until(lambda dead=worker: not alive(dead), "the worker is gone", limit_s=10)
        newest = checkpoints("cells", runs, 0)[-1]
        damage(newest / "adapter.safetensors", harm)
        step, after = int(newest.name.removeprefix("step-")), time.time()
        first = wait_for_training(runs, study="cells", after=after)
        # From the checkpoint before the damaged one; the first steps may go by before they are looked at.
        assert step <= first <= step + 10, "it went on, and not from the start"
        told.append(f"adapter of step {step} {harm}: went on at step {first} or before")
    _, said = study.communicate(timeout=300)

    assert study.returncode == 0, said
    found = adapters("cells", runs)
    assert len(found) == 1
    assert found.items() <= adapters("cells", unbroken).items()
    evidence("; ".join(told) + "; bytes of an unbroken run")


def damage(file: Path, harm: str) -> None:
    if harm == "deleted":
        file.unlink()
    else:
        os.truncate(file, file.stat().st_size // 2)


@pytest.mark.promise(16)
@pytest.mark.slow
def test_a_death_inside_a_save_leaves_the_checkpoint_before_it(runs: Path, unbroken: Path, evidence) -> None:
    words = [*CELLS, EVERY_STEP, "study.retries.killed=5", "study.n_trials=1"]
    study = started(*words, folder=runs)
    wait_for_training(runs, study="cells", step=10)
    kill_study(study)
    whole = [path for path in checkpoints("cells", runs, 0) if is_whole(path)]

    first = tune(*words, folder=runs, TUNE_FAILPOINT=f"checkpoint: filled@{runs.parent / 'died'}")

    assert first.returncode == 0, first.stderr
    assert (runs.parent / "died").exists()
    killed, last = attempts_at("cells", runs, 0)[1:]
    assert "killed by SIGKILL" in killed["message"]
    assert killed["reached"] == int(whole[-1].name.removeprefix("step-")), "what was being written does not count"
    assert last["state"] == "COMPLETE"
    assert adapters("cells", runs).items() <= adapters("cells", unbroken).items()
    assert len(adapters("cells", runs)) == 1
    assert not list(trial_folder(runs, "cells", 0).glob("checkpoints/.*")), "nothing half-written is left"
    evidence(f"killed while the checkpoint after {whole[-1].name} was written: went on from that one to the same bytes")


@pytest.fixture
def small_disk(tmp_path: Path, cache: Path) -> Iterator[Path]:
    """A runs folder on a file system of 16 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = [MOUNT, "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    (place / "cache").symlink_to(cache)
    yield place / "runs"
    kill_all()
    for process in processes_of(place):
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    subprocess.run([UMOUNT, "--lazy", str(place)], check=True)  # these tests' own looks into it may keep it busy


# An adapter of rank 256 is 2 MB and its checkpoint 6: the third one does not fit beside the two that are kept.
LARGE = [word.replace("sweep=cells", "sweep=large") for word in CELLS] + [EVERY_STEP, "study.free_gib=0"]


@pytest.mark.promise(15)
@pytest.mark.slow
def test_on_a_full_disk_the_last_checkpoint_is_intact_and_nothing_is_complete(small_disk: Path, evidence) -> None:
    done = tune(*LARGE, folder=small_disk)

    assert done.returncode != 0
    kept = checkpoints("large", small_disk, 0)
    assert kept
    assert all(map(is_whole, kept))
    assert "COMPLETE" not in states(small_disk)["attempts"]
    log = (small_disk / "studies" / "large" / "workers.log").read_text()
    assert "No space left on device" in log
    evidence(f"disk full after {kept[-1].name}, which is intact; no trial is complete")


@pytest.mark.promise(15)
@pytest.mark.slow
def test_a_full_disk_pauses_the_study_and_room_lets_it_go_on(small_disk: Path, evidence) -> None:
    done = tune(*LARGE, folder=small_disk)
    subprocess.run([MOUNT, "-o", "remount,size=64m", str(small_disk.parent)], check=True)

    again = tune(*LARGE, folder=small_disk)

    assert done.returncode == 2
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("tune: ")]
    for words in ("the study pauses", "disk", "Free some space", "the same command again"):
        assert words in said
    assert again.returncode == 0, again.stderr
    assert [trial["state"] for trial in record("large", small_disk)["trials"]] == ["complete"] * 2
    evidence(f"paused with advice; with room it went on ({said.removeprefix('tune: ')[:100]}…)")


@pytest.mark.promise(15)
def test_a_disk_with_too_little_room_is_refused_before_anything_is_started(small_disk: Path, evidence) -> None:
    words = [word for word in LARGE if not word.startswith("study.free_gib")]

    done = tune(*words, folder=small_disk)

    assert done.returncode == 2
    assert "study.free_gib=0.5" in done.stderr.splitlines()[-1]
    assert not (small_disk / "mlflow.db").exists()
    evidence("a disk of 16 MB is refused at once: " + done.stderr.splitlines()[-1].split(": ", 2)[2][:80])
