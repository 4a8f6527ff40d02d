"""A journal keeps whole lines, whoever dies while writing one."""

import json
import stat
from pathlib import Path

import pytest

from tune.errors import TrackingError
from tune.track.journal import Journal, JournalRecorder, Progress
from tune.track.recorder import Point, RunStatus


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "trial" / "0000")
    journal.append("run", "r1", at_ms=1)
    return journal


def tear(journal: Journal, n_bytes: int) -> None:
    content = journal.file.read_bytes()
    journal.file.write_bytes(content[:-n_bytes])


def kinds(journal: Journal) -> list[str]:
    return [line.kind for line in journal.lines()]


def test_a_line_is_in_the_file_when_the_call_returns(journal) -> None:
    JournalRecorder(journal).metrics({"train/loss": 2.5}, step=3)

    last = json.loads(journal.file.read_text().splitlines()[-1])
    assert last["points"] == [["train/loss", 2.5, 3, last["at"]]]


def test_the_file_is_for_its_user_alone(journal) -> None:
    assert stat.S_IMODE(journal.file.stat().st_mode) == 0o600


@pytest.mark.parametrize("n_bytes", [1, 2, 10, 30])
def test_a_torn_line_is_skipped_and_does_not_spoil_the_next(journal, n_bytes) -> None:
    journal.append("tags", {"a": "a text that is long enough"}, at_ms=2)
    tear(journal, n_bytes)
    assert kinds(journal) == ["run"]

    journal.append("tags", {"b": "2"}, at_ms=3)

    whole = n_bytes == 1  # only its end was missing
    assert kinds(journal) == ["run", "tags" if whole else "torn", "tags"]
    assert journal.lines()[-1].value == {"b": "2"}


def test_reading_goes_on_where_a_line_ended(journal) -> None:
    journal.append("tags", {"ü": "\u2028\r\n"}, at_ms=2)
    first, second = journal.lines()

    assert journal.lines(first.end) == [second]
    assert journal.lines(second.end) == []
    assert second.end == journal.file.stat().st_size


def test_a_second_process_knows_steps_params_and_the_time(journal) -> None:
    first = JournalRecorder(journal)
    first.params({"lora.rank": 8})
    first.metrics({"train/loss": 2.0}, step=1)
    ahead = 10**15  # its clock was wrong
    first.points([Point("task/score", 0.5, None, ahead)])
    n_lines = len(journal.lines())

    second = JournalRecorder(journal)
    second.params({"lora.rank": 8})
    second.metrics({"train/loss": 9.0}, step=1)
    assert len(journal.lines()) == n_lines
    second.metrics({"task/score": 0.25})

    assert journal.lines()[-1].at_ms > ahead


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sent": "x"}', '{"other": 1}', '{"offset": 999999}'])
def test_where_it_was_forgotten_how_far_it_was_sent_nothing_was(journal, content) -> None:
    journal.remember(Progress(run_id="r1", sent=1, offset=journal.lines()[-1].end))
    assert journal.progress().sent == 1

    (journal.folder / "run.json").write_text(content)

    assert journal.progress() == Progress()


def test_a_full_disk_is_said_with_the_file(journal) -> None:
    full = Journal(journal.folder)
    full.file = Path("/dev/full")

    with pytest.raises(TrackingError, match=r"/dev/full \(No space left on device\)\. Free some space"):
        full.append("tags", {"a": "b"}, at_ms=2)


def test_secrets_and_what_is_no_number_are_kept_out_of_the_file(journal, monkeypatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    recorder = JournalRecorder(journal)

    recorder.params({"study.storage": "postgresql://me:hunter22@db/x"})
    recorder.tags({"a": "correct-horse-battery"})
    recorder.text("config.yaml", "token: correct-horse-battery")
    recorder.metrics({"eval/loss": float("nan")}, step=7)
    recorder.finish(RunStatus.failed)

    text = journal.file.read_text()
    assert "hunter22" not in text
    assert "battery" not in text
    assert "NaN" not in text
    assert kinds(journal) == ["run", "params", "tags", "text", "tags", "status"]
