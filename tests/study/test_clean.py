"""What may go and what may not, measured on disk; and the question at a real terminal."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from tests.study.ward import NOBODY, Ward, adapter, checkpoint, leave_lines, new_ward
from tune.config.compose import compose
from tune.files import write_json
from tune.study.clean import Freeable, Kind, find_freeable, free, summary
from tune.study.doctor.examine import examine
from tune.study.leftovers import size

NAMES = count()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both databases, made once; each test has a study of its own in them."""
    return tmp_path_factory.mktemp("clean") / "runs"


@pytest.fixture
def ward(runs: Path) -> Ward:
    return new_ward(runs, f"study{next(NAMES)}")


def find(ward: Ward, *overrides: str) -> list[Freeable]:
    return find_freeable(ward.name, compose([f"track.folder='{ward.runs}'", *overrides]))


def freed(ward: Ward, *overrides: str) -> list[tuple[Kind, str]]:
    """Free what may go, after measuring that it did, and that nothing may go after that; return what went."""
    found, before = find(ward, *overrides), size(ward.runs / "studies" / ward.name)
    n_freed, kept = free(found)
    markers = sum(size(path) for path in ward.runs.glob(f"studies/{ward.name}/trials/*/freed.json"))
    assert n_freed == before - size(ward.runs / "studies" / ward.name) + markers
    assert n_freed == sum(each.size for each in found)
    assert kept == []
    assert find(ward, *overrides) == []
    return [(each.kind, each.path.relative_to(ward.folder(each.number)).as_posix()) for each in found]


def old_journal(ward: Ward, number: int) -> None:
    """Write a journal whose last line is an hour old."""
    for name in ("run.jsonl", "run.json"):
        write_json(ward.folder(number) / name, {"run_id": ward.run(number).run_id})
        os.utime(ward.folder(number) / name, (time.time() - 3600,) * 2)


def test_a_failed_trial_keeps_nothing_large(ward: Ward) -> None:
    ward.fail("diverged")
    checkpoint(ward.folder(0))
    adapter(ward.folder(0) / "adapter")
    (ward.folder(0) / "scores.json").write_text("{}")
    (ward.folder(0) / ".adapter.4194999.writing").mkdir()

    assert freed(ward) == [
        (Kind.checkpoints, "checkpoints"),
        (Kind.leftovers, ".adapter.4194999.writing"),
        (Kind.failures, "adapter"),
        (Kind.failures, "scores.json"),
    ]


def test_a_complete_trial_keeps_its_results(ward: Ward) -> None:
    ward.complete()
    checkpoint(ward.folder(0))

    assert freed(ward) == [(Kind.checkpoints, "checkpoints")]
    assert (ward.folder(0) / "scores.json").is_file()
    assert examine(ward.case, fix=False).findings == ()


def test_what_waits_or_runs_keeps_all(ward: Ward) -> None:
    ward.fail("interrupted")
    claimed, _ = ward.start()
    for number in (0, claimed.root):
        checkpoint(ward.folder(number))
        adapter(ward.folder(number) / "adapter")
        (ward.folder(number) / ".adapter.4194999.writing").mkdir()
        old_journal(ward, number)

    assert claimed.root == 1
    assert find(ward, "clean.keep_adapters=0") == []


def test_a_trial_whose_worker_died_is_not_over(ward: Ward) -> None:
    claimed, _ = ward.start(NOBODY)
    checkpoint(ward.folder(claimed.root))

    assert find(ward) == []


def test_a_trial_whose_record_waits_to_be_sent_keeps_what_is_sent(ward: Ward) -> None:
    ward.fail("bug")
    adapter(ward.folder(0) / "adapter")
    checkpoint(ward.folder(0))
    leave_lines(ward, 0)

    assert [each.kind for each in find(ward)] == [Kind.checkpoints]


def test_only_the_best_adapters_are_kept_and_nobody_misses_the_others(ward: Ward) -> None:
    ward.complete(score=0.25)
    ward.complete(score=0.75)

    assert find(ward) == []
    assert freed(ward, "clean.keep_adapters=1") == [(Kind.adapters, "adapter")]
    assert not (ward.folder(0) / "adapter").exists()
    assert (ward.folder(1) / "adapter").is_dir()
    assert (ward.folder(0) / "scores.json").is_file()
    assert examine(ward.case, fix=False).findings == ()


def test_a_journal_goes_when_its_run_is_known_and_its_last_line_is_old(ward: Ward) -> None:
    ward.complete()
    old_journal(ward, 0)
    ward.complete()
    write_json(ward.folder(1) / "run.jsonl", {})

    assert [(kind, name) for kind, name in freed(ward)] == [(Kind.journals, "run.jsonl"), (Kind.journals, "run.json")]
    assert (ward.folder(1) / "run.jsonl").is_file()


def test_the_sizes_are_of_each_kind_and_of_its_trials(ward: Ward) -> None:
    ward.fail("bug")
    ward.fail("bug")
    for number in (0, 1):
        checkpoint(ward.folder(number))

    (record,) = summary(find(ward))

    assert record.kind == "checkpoints of trials that have ended"
    assert record.n_trials == 2
    assert record.size == sum(size(ward.folder(number) / "checkpoints") for number in (0, 1)) > 10_000


def test_what_cannot_be_removed_is_said() -> None:
    (n_freed, kept) = free([Freeable(kind=Kind.failures, number=0, path=Path("/proc/self/status"), size=0)])

    assert n_freed == 0
    assert kept[0].startswith("/proc/self/status (")


@pytest.fixture
def full(runs: Path) -> Ward:
    """A study with 20 MiB to free."""
    ward = new_ward(runs, f"study{next(NAMES)}")
    ward.fail("bug")
    (checkpoint(ward.folder(0)) / "optimizer.safetensors").write_bytes(b"0" * 20 * 1024**2)
    return ward


def command(ward: Ward, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "tune", "clean", ward.name, f"track.folder='{ward.runs}'", *overrides]


def answered(ward: Ward, answer: str) -> tuple[str, int]:
    """Run the command at a terminal of its own, answer its question; return what was shown and the exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command(ward), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    shown, until = "", time.monotonic() + 60
    try:
        while time.monotonic() < until and select.select([ours], [], [], 60)[0]:
            try:
                part = os.read(ours, 4096).decode()
            except OSError:  # the other side is closed
                break
            shown += part
            if "[y/N]" in part:
                os.write(ours, answer.encode())
        return re.sub(r"\x1b\[[0-9;]*m", "", shown), process.wait(timeout=30)
    finally:
        process.kill()
        os.close(ours)


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_nothing_goes_without_a_yes(full: Ward, answer: str) -> None:
    shown, code = answered(full, answer)

    assert "Free 20.0 MiB? [y/N]" in shown
    assert "Nothing was removed." in shown
    assert code == 0
    assert (full.folder(0) / "checkpoints").is_dir()


def test_it_goes_with_a_yes(full: Ward) -> None:
    shown, code = answered(full, "y\n")

    assert "freed 20.0 MiB" in shown
    assert code == 0
    assert not (full.folder(0) / "checkpoints").exists()


def test_without_a_terminal_it_goes_with_clean_yes_alone(full: Ward) -> None:
    asked, allowed, again = (
        subprocess.run(command(full, *more), capture_output=True, text=True, check=False, timeout=60, input="y\n")
        for more in ([], ["clean.yes=true"], ["clean.yes=true"])
    )

    assert "clean.yes=true removes without asking" in asked.stdout
    assert re.search(r"checkpoints of trials that have ended +1 +20.0 MiB", asked.stdout)
    assert "freed 20.0 MiB" in allowed.stdout
    assert "nothing to free" in again.stdout
    assert [done.returncode for done in (asked, allowed, again)] == [0, 0, 0]
