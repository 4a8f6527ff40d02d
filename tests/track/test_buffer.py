"""What is recorded while the store is away arrives, once, whoever is killed when; training does not wait."""

import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tune.errors import EntryRefused, StoreAway, TrackingError
from tune.track.buffer import BufferedRecorder, buffered_run
from tune.track.journal import Journal
from tune.track.memory_store import MemoryStore
from tune.track.mlflow_server import ServerStore
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunRecorder, RunStatus, now_ms
from tune.track.replay import end_run, replay, trouble, unsent

# MLflow's own use of SQLAlchemy, on import
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")

# A store whose process dies as soon as MLflow has done what sys.argv[4] names, before anything of it is remembered.
DIE_AFTER = """
import os, signal, sys
from pathlib import Path
from tune.track.mlflow_store import MlflowStore
from tune.track.replay import replay

class Deadly(MlflowStore):
    def call(self, method, *args, **kwargs):
        answer = super().call(method, *args, **kwargs)
        if method == sys.argv[4] and (method != "log_batch" or kwargs.get("metrics")):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

replay(Deadly(Path(sys.argv[1]), sys.argv[2]), Path(sys.argv[3]))
"""

REPLAY = """
import sys, time
from pathlib import Path
from tune.track.mlflow_store import MlflowStore
from tune.track.replay import replay
store = MlflowStore(Path(sys.argv[1]), sys.argv[2])
store.prepare()
print("ready", flush=True)
while not Path(sys.argv[4]).exists():
    time.sleep(0.001)
print(replay(store, Path(sys.argv[3])))
"""

DIE_WHILE_AWAY = """
import os, signal, sys
from pathlib import Path
from tune.track.buffer import buffered_run
from tune.track.mlflow_server import ServerStore
store = ServerStore(sys.argv[1], "tune", folder=Path(sys.argv[2]))
trial = buffered_run(store, Path(sys.argv[2]), name="killed", study_run_id=None, tags={"tune.key": "s/7"})
assert trial.run_id is None and "connection refused" in trial.away
trial.params({"lora.rank": 8})
for step in range(50):
    trial.metrics({"train/loss": float(step)}, step=step)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def closed() -> str:
    """The address of a server that is away."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def away(closed: str, tmp_path: Path) -> ServerStore:
    return ServerStore(closed, "tune", folder=tmp_path)


@pytest.fixture
def waiting(away, tmp_path: Path) -> Path:
    """The folder of a trial of which nothing could be sent: 300 steps, two scores, two ends."""
    folder = tmp_path / "trial"
    trial = buffered_run(away, folder, name="trial 0", study_run_id=None, tags={"tune.number": "0"})
    trial.params({"lora.rank": 8})
    for step in range(150):
        trial.metrics({"train/loss": float(step)}, step=step)
    trial.finish(RunStatus.killed)
    trial.reopen()
    for step in range(150, 300):
        trial.metrics({"train/loss": float(step)}, step=step)
    trial.metrics({"task/score": 0.75})
    trial.metrics({"task/score": 0.5})
    trial.text("config.yaml", "seed: 0")
    trial.finish(RunStatus.finished)
    assert not trial.close(limit_s=0)
    return folder


def run_in(store, folder: Path):
    run_id = Journal(folder).progress().run_id
    return store.call("get_run", run_id), run_id


def assert_all_is_there_once(store, folder: Path, points) -> None:
    assert unsent(folder) == 0
    assert trouble(folder) is None
    run, run_id = run_in(store, folder)
    assert points(store, run_id, "train/loss") == [(step, float(step)) for step in range(300)]
    assert points(store, run_id, "task/score") == [(0, 0.5), (0, 0.75)]
    assert run.data.metrics["task/score"] == 0.5
    assert run.data.params == {"lora.rank": "8"}
    assert run.info.status == "FINISHED"
    assert len(list(store._search("attributes.run_name = 'trial 0'"))) == 1


def test_a_server_that_is_away_costs_training_nothing_and_is_noticed_at_once(away, tmp_path: Path) -> None:
    started = time.monotonic()
    trial = buffered_run(away, tmp_path / "trial", name="t", study_run_id=None, tags={})
    asked_s = time.monotonic() - started
    for step in range(500):
        trial.metrics({"train/loss": 1.0}, step=step)
    recorded_s = time.monotonic() - started - asked_s
    closed = trial.close(limit_s=0.2)

    assert asked_s < 15  # most of it MLflow's import
    assert recorded_s < 2
    assert not closed
    assert trial.run_id is None
    assert trial.trouble is None
    assert f"{away.where} does not answer (connection refused). Start it" in trial.away
    assert unsent(tmp_path / "trial") == 501
    with pytest.raises(StoreAway):
        replay(away, tmp_path / "trial")


def test_all_that_waited_arrives_once_and_in_its_last_state(mlflow_store, waiting, points) -> None:
    assert replay(mlflow_store, waiting) == 308

    assert_all_is_there_once(mlflow_store, waiting, points)
    assert replay(mlflow_store, waiting) == 0


def test_nothing_is_twice_where_it_was_forgotten_that_it_was_sent(mlflow_store, waiting, points) -> None:
    replay(mlflow_store, waiting)
    run_id = Journal(waiting).progress().run_id
    (waiting / "run.json").unlink()

    assert replay(mlflow_store, waiting) == 308

    assert_all_is_there_once(mlflow_store, waiting, points)
    assert Journal(waiting).progress().run_id == run_id


class Stops(MlflowStore):
    """Goes away when the run is to be ended."""

    def call(self, method: str, *args: object, **kwargs: object) -> Any:
        if method == "set_terminated":
            msg = "away"
            raise StoreAway(msg)
        return super().call(method, *args, **kwargs)


def test_old_lines_sent_again_half_way_do_not_touch_the_status(mlflow_store, waiting) -> None:
    replay(mlflow_store, waiting)
    (waiting / "run.json").unlink()

    with pytest.raises(StoreAway):
        replay(Stops(mlflow_store.folder, mlflow_store.experiment), waiting)

    assert run_in(mlflow_store, waiting)[0].info.status == "FINISHED"
    assert unsent(waiting) == 1  # it got past the earlier end and beginning


@pytest.mark.parametrize("method", ["create_run", "log_batch", "set_terminated"])
def test_a_kill_between_sending_and_remembering(mlflow_store, waiting, points, start, method) -> None:
    for _ in range(2):  # the second one dies in the same place, after sending the same again
        victim = start(DIE_AFTER, mlflow_store.folder, mlflow_store.experiment, waiting, method)
        said = victim.communicate(timeout=120)
        if method == "create_run" and victim.returncode == 0:
            break  # the run is found, so none is made again and nobody dies
        assert victim.returncode == -signal.SIGKILL, said

    replay(mlflow_store, waiting)

    assert_all_is_there_once(mlflow_store, waiting, points)


def test_two_replays_at_once_send_each_line_once(mlflow_store, waiting, points, start, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    both = [start(REPLAY, mlflow_store.folder, mlflow_store.experiment, waiting, gate) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    gate.touch()
    said = []
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        said.append(int(out))

    assert sum(said) == 308
    assert_all_is_there_once(mlflow_store, waiting, points)


def test_a_process_killed_while_the_server_is_away_leaves_all_it_recorded(
    mlflow_store, closed, points, start, tmp_path: Path
) -> None:
    victim = start(DIE_WHILE_AWAY, closed, tmp_path)
    said = victim.communicate(timeout=120)
    assert victim.returncode == -signal.SIGKILL, said

    ended = end_run(mlflow_store, tmp_path, run_id=None, status=RunStatus.failed, tags={"tune.reason": "killed"})

    assert ended
    run, run_id = run_in(mlflow_store, tmp_path)
    assert points(mlflow_store, run_id, "train/loss") == [(step, float(step)) for step in range(50)]
    assert (run.info.status, run.data.tags["tune.reason"], run.data.tags["tune.key"]) == ("FAILED", "killed", "s/7")


def test_the_next_attempt_goes_on_in_the_run_and_the_last_end_counts(mlflow_store, away, points, tmp_path) -> None:
    about = {"name": "t", "study_run_id": None, "tags": {"tune.key": "s/1"}}
    first = buffered_run(away, tmp_path, **about)
    first.metrics({"train/loss": 0.0}, step=0)
    first.metrics({"train/loss": 1.0}, step=1)
    first.finish(RunStatus.killed)
    first.close(limit_s=0)

    second = buffered_run(mlflow_store, tmp_path, **about)
    second.reopen()
    second.metrics({"train/loss": 9.0}, step=1)
    second.metrics({"train/loss": 2.0}, step=2)
    assert second.flush(limit_s=30), second.trouble
    running = mlflow_store.call("get_run", second.run_id).info.status
    second.finish(RunStatus.finished)
    assert second.close(limit_s=30), second.trouble

    assert running == "RUNNING"
    assert mlflow_store.call("get_run", second.run_id).info.status == "FINISHED"
    assert points(mlflow_store, second.run_id, "train/loss") == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_an_attempt_elsewhere_goes_on_in_the_run_and_draws_no_step_twice(mlflow_store, points, tmp_path) -> None:
    about = {"name": "t", "study_run_id": None, "tags": {"tune.key": "s/2"}}
    here = buffered_run(mlflow_store, tmp_path / "here", **about)
    here.metrics({"train/loss": 1.0}, step=1)
    assert here.close(limit_s=30), here.trouble

    there = buffered_run(mlflow_store, tmp_path / "there", **about)
    there.metrics({"train/loss": 9.0}, step=1)
    there.metrics({"train/loss": 2.0}, step=2)
    assert there.close(limit_s=30), there.trouble

    assert there.run_id == here.run_id
    assert points(mlflow_store, here.run_id, "train/loss") == [(1, 1.0), (2, 2.0)]


def test_a_late_end_of_an_earlier_attempt_does_not_undo_the_last_one(mlflow_store, away, tmp_path) -> None:
    run = mlflow_store.trial_run(name="t", study_run_id=None, tags={})
    about = {"name": "t", "study_run_id": None, "tags": {}, "run_id": run.run_id}
    early = buffered_run(away, tmp_path / "early", **about)
    early.finish(RunStatus.killed)
    early.close(limit_s=0)
    late = buffered_run(mlflow_store, tmp_path / "late", **about)
    late.finish(RunStatus.finished)
    assert late.close(limit_s=30), late.trouble

    assert replay(mlflow_store, tmp_path / "early") == 1

    assert mlflow_store.call("get_run", run.run_id).info.status == "FINISHED"


def test_a_run_without_a_journal_is_ended_by_its_id(mlflow_store, away, tmp_path: Path) -> None:
    run_id = mlflow_store.trial_run(name="t", study_run_id=None, tags={}).run_id
    about = {"run_id": run_id, "status": RunStatus.failed, "tags": {"tune.reason": "lost"}}

    assert not end_run(away, tmp_path, **about)
    assert unsent(tmp_path) == 2
    assert end_run(mlflow_store, tmp_path, **about)

    run = mlflow_store.call("get_run", run_id)
    assert (run.info.status, run.data.tags["tune.reason"]) == ("FAILED", "lost")


def test_where_nothing_was_begun_there_is_nothing_to_end(mlflow_store, tmp_path: Path) -> None:
    assert end_run(mlflow_store, tmp_path / "new", run_id=None, status=RunStatus.failed, tags={"tune.reason": "lost"})

    assert not (tmp_path / "new").exists()
    assert replay(mlflow_store, tmp_path / "new") == 0
    assert unsent(tmp_path / "new") == 0


def test_an_entry_that_is_refused_is_told_and_holds_nothing_up(mlflow_store, tmp_path: Path, points) -> None:
    run = mlflow_store.trial_run(name="t", study_run_id=None, tags={})
    run.params({"lora.rank": 16})
    (tmp_path / "scores.json").write_text("{}")

    trial = buffered_run(mlflow_store, tmp_path, name="t", study_run_id=None, tags={}, run_id=run.run_id)
    trial.params({"lora.rank": 8})
    trial.artifact(tmp_path / "scores.json")
    (tmp_path / "scores.json").unlink()
    trial.metrics({"train/loss": 1.0}, step=1)
    trial.finish(RunStatus.finished)
    closed = trial.close(limit_s=30)

    assert not closed
    assert unsent(tmp_path) == 0
    assert Journal(tmp_path).progress().refused == 2
    assert "scores.json with run" in trial.trouble
    seen = mlflow_store.call("get_run", run.run_id)
    assert (seen.info.status, seen.data.tags["tune.trouble"]) == ("FINISHED", trial.trouble)
    assert points(mlflow_store, run.run_id, "train/loss") == [(1, 1.0)]


def test_a_deleted_run_is_told_and_filled_when_it_is_restored(mlflow_store, tmp_path: Path, points) -> None:
    trial = buffered_run(mlflow_store, tmp_path, name="t", study_run_id=None, tags={})
    mlflow_store.call("delete_run", trial.run_id)
    trial.metrics({"train/loss": 1.0}, step=1)
    assert not trial.flush(limit_s=3)
    assert "deleted in the MLflow UI; restore it" in trial.trouble
    assert "deleted" in trouble(tmp_path)
    with pytest.raises(TrackingError, match="deleted"):
        replay(mlflow_store, tmp_path)

    mlflow_store.call("restore_run", trial.run_id)

    assert trial.close(limit_s=30), trial.trouble
    assert trouble(tmp_path) is None
    assert points(mlflow_store, trial.run_id, "train/loss") == [(1, 1.0)]


def test_a_key_that_cannot_be_looked_for_is_refused_before_anything_is_written(mlflow_store, tmp_path: Path) -> None:
    with pytest.raises(EntryRefused, match="cannot record under the name"):
        buffered_run(mlflow_store, tmp_path, name="t", study_run_id=None, tags={"tune.key": "a' or 'b"})

    assert not list(tmp_path.iterdir())


def test_a_fault_of_ours_is_told_and_the_thread_lives(mlflow_store, tmp_path: Path, monkeypatch) -> None:
    trial: BufferedRecorder = buffered_run(mlflow_store, tmp_path, name="t", study_run_id=None, tags={})

    def fault(*_: object, **__: object) -> None:
        msg = "a bug"
        raise KeyError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow_store, "call", fault)
        trial.metrics({"train/loss": 1.0}, step=1)
        assert not trial.flush(limit_s=2)
        assert trial.trouble == "KeyError('a bug')"

    assert trial.close(limit_s=30), trial.trouble


class Mended(MemoryStore):
    """A store that refuses everything, as with wrong credentials, until somebody mends it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_mended = False

    def trial_run(self, **about: Any) -> RunRecorder:
        if not self.is_mended:
            msg = "the server says 403. Mend the credentials."
            raise TrackingError(msg)
        return super().trial_run(**about)


def test_a_store_that_refuses_for_now_costs_no_trial(tmp_path: Path) -> None:
    store = Mended()

    recorder = buffered_run(store, tmp_path / "run", name="t", study_run_id=None, tags={})
    recorder.metrics({"task/score": 0.5})
    recorder.finish(RunStatus.finished)

    assert recorder.run_id is None
    assert not recorder.close(0.5)
    assert recorder.trouble is not None
    assert "403" in recorder.trouble
    store.is_mended = True
    assert replay(store, tmp_path / "run") > 0
    (run,) = store.runs.values()
    assert run.status is RunStatus.finished
    assert [point.value for point in run.points["task/score"]] == [0.5]


def test_a_beginning_that_is_written_after_the_end_that_followed_it_opens_nothing(mlflow_store, tmp_path) -> None:
    trial = buffered_run(mlflow_store, tmp_path, name="t", study_run_id=None, tags={"tune.key": "s/9"})
    asleep_since = now_ms(after=0)
    trial.finish(RunStatus.killed)
    assert trial.close(limit_s=30), trial.trouble

    Journal(tmp_path).append("status", RunStatus.running.value, at_ms=asleep_since - 1)
    replay(mlflow_store, tmp_path)

    assert mlflow_store.call("get_run", trial.run_id).info.status == "KILLED"
    assert unsent(tmp_path) == 0
