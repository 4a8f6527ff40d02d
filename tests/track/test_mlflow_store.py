"""What only the MLflow store promises: several processes, kills, its own tools, and errors with a way out."""

import json
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from tune.errors import ConfigError, TrackingError
from tune.track.folder import check_writable
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunStatus

# MLflow's own use of SQLAlchemy, on import
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")

# MLflow is imported once and then forked: the children begin in the same moment, each without a connection.
FORK = """
import os, sys
from pathlib import Path
from tune.track import mlflow_client, mlflow_store
from tune.track.recorder import RunStatus
mlflow_client.load_mlflow()

def together(count, work):
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            work(number)
            os._exit(0)  # not reached after an error, which ends the child with 1
        children.append(child)
    sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""

PREPARE = (
    FORK
    + """
together(6, lambda number: mlflow_store.MlflowStore(Path(sys.argv[1]), "together").prepare())
"""
)

WRITE = (
    FORK
    + """
def work(number):
    store = mlflow_store.MlflowStore(Path(sys.argv[1]), sys.argv[2])
    study = store.study_run("busy", tags={})
    trial = store.trial_run(name=f"trial {number}", study_run_id=study.run_id, tags={})
    for step in range(50):
        trial.metrics({"train/loss": float(step), "train/grad_norm": 1.0}, step=step)
    trial.finish(RunStatus.finished)

together(4, work)
"""
)

DIE = """
import os, signal, sys
from pathlib import Path
from tune.track.mlflow_store import MlflowStore
store = MlflowStore(Path(sys.argv[1]), sys.argv[2])
trial = store.trial_run(name="killed", study_run_id=sys.argv[3], tags={})
trial.metrics({"train/loss": 2.0}, step=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def client(store: MlflowStore):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{store.folder}/mlflow.db")


def test_six_processes_may_prepare_an_empty_folder_at_once(tmp_path: Path, start) -> None:
    folder = tmp_path / "new" / "runs"
    parent = start(PREPARE, folder)

    said = parent.communicate(timeout=120)

    assert parent.returncode == 0, said  # how many of the six failed
    assert said == ("", "")  # MLflow keeps quiet too
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM experiments WHERE name = 'together'").fetchone() == (1,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert not (folder / "mlflow.db.new").exists()


def test_four_processes_write_to_one_study_at_once_and_nothing_is_lost(mlflow_store, start) -> None:
    parent = start(WRITE, mlflow_store.folder, mlflow_store.experiment)

    said = parent.communicate(timeout=120)

    assert parent.returncode == 0, said  # how many of the four failed
    trials = mlflow_store.children(mlflow_store.study_run("busy", tags={}).run_id)
    assert sorted(trial.name for trial in trials) == [f"trial {i}" for i in range(4)]
    for trial in trials:
        history = client(mlflow_store).get_metric_history(trial.run_id, "train/loss")
        assert sorted((point.step, point.value) for point in history) == [(step, float(step)) for step in range(50)]
        assert trial.metrics == {"train/loss": 49.0, "train/grad_norm": 1.0}
        assert trial.status is RunStatus.finished


def test_a_run_left_running_by_a_killed_process_is_found_and_ended(mlflow_store, start) -> None:
    study = mlflow_store.study_run("killed", tags={})
    victim = start(DIE, mlflow_store.folder, mlflow_store.experiment, study.run_id)
    victim.communicate(timeout=120)
    assert victim.returncode == -9

    (left,) = mlflow_store.unfinished(study.run_id)
    mlflow_store.open(left).finish(RunStatus.failed)

    assert mlflow_store.unfinished(study.run_id) == []
    (trial,) = mlflow_store.children(study.run_id)
    assert (trial.status, trial.metrics) == (RunStatus.failed, {"train/loss": 2.0})


def test_a_database_half_made_by_a_killed_process_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db.new").write_bytes(b"half a datab")

    store = MlflowStore(tmp_path, "tune")
    store.prepare()

    assert store.children(store.study_run("s", tags={}).run_id) == []


def test_mlflow_itself_sees_parent_child_source_and_one_point_a_step(mlflow_store) -> None:
    study = mlflow_store.study_run("family", tags={})
    trial = mlflow_store.trial_run(name="trial 0", study_run_id=study.run_id, tags={})
    trial.metrics({"loss": 2.0}, step=1)
    mlflow_store.open(trial.run_id).metrics({"loss": 3.0}, step=1)
    study.finish(RunStatus.finished)
    mlflow_store.study_run("family", tags={})

    seen = client(mlflow_store).get_run(trial.run_id)
    assert seen.data.tags["mlflow.parentRunId"] == study.run_id
    assert (seen.data.tags["mlflow.source.name"], seen.data.tags["mlflow.source.type"]) == ("tune", "LOCAL")
    assert "mlflow.user" not in seen.data.tags
    assert [point.value for point in client(mlflow_store).get_metric_history(trial.run_id, "loss")] == [2.0]
    parent = client(mlflow_store).get_run(study.run_id)
    assert (parent.info.status, parent.data.tags["tune.study"]) == ("RUNNING", "family")
    assert "mlflow.parentRunId" not in parent.data.tags


def test_of_two_values_in_one_millisecond_the_later_is_the_last(mlflow_store, monkeypatch) -> None:
    study = mlflow_store.study_run("fast", tags={})
    trial = mlflow_store.trial_run(name="t", study_run_id=study.run_id, tags={})
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)

    trial.metrics({"task/score": 0.9})
    trial.metrics({"task/score": 0.1})

    assert mlflow_store.children(study.run_id)[0].metrics == {"task/score": 0.1}


def test_the_users_own_mlflow_state_is_left_alone(mlflow_store) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow_store.study_run("quiet", tags={})

    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None


class Busy:
    """A client whose database is locked some times, as sqlite says after its own patience of 20 s."""

    def __init__(self, times: int) -> None:
        self.times = times

    def get_run(self, run_id: str) -> str:
        from mlflow.exceptions import MlflowException

        self.times -= 1
        if self.times >= 0:
            msg = "(sqlite3.OperationalError) database is locked\n[SQL: ...]"
            raise MlflowException(msg)
        return run_id


def test_a_locked_database_is_tried_again(mlflow_store, monkeypatch) -> None:
    monkeypatch.setattr(mlflow_store, "_client", Busy(times=2))

    assert mlflow_store.call("get_run", "abc") == "abc"


def test_a_database_that_stays_locked_is_said_so(mlflow_store, monkeypatch) -> None:
    monkeypatch.setattr(mlflow_store, "_client", Busy(times=99))
    monkeypatch.setattr(time, "sleep", lambda _: None)

    with pytest.raises(TrackingError, match=r"database is locked\. Others kept it locked .* fewer workers"):
        mlflow_store.call("get_run", "abc")


def test_a_write_waits_while_another_process_holds_the_database(mlflow_store) -> None:
    trial = mlflow_store.trial_run(name="t", study_run_id=None, tags={})
    held = sqlite3.connect(mlflow_store.folder / "mlflow.db", isolation_level=None, check_same_thread=False)
    held.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, held.execute, ["ROLLBACK"])
    release.start()
    started = time.monotonic()

    trial.metrics({"train/loss": 1.0}, step=1)

    assert time.monotonic() - started > 0.3
    release.join()
    held.close()


def test_a_deleted_experiment_is_said_with_the_command_that_restores_it(mlflow_store) -> None:
    mlflow_store.study_run("gone", tags={})
    experiment = client(mlflow_store).get_experiment_by_name(mlflow_store.experiment)
    client(mlflow_store).delete_experiment(experiment.experiment_id)
    told = (
        rf"track.experiment={mlflow_store.experiment} was deleted .*restore --experiment-id {experiment.experiment_id}"
    )

    for attempt in (mlflow_store.prepare, lambda: mlflow_store.study_run("gone", tags={})):
        with pytest.raises(TrackingError, match=told):
            attempt()


def test_a_run_deleted_meanwhile_is_said_so(mlflow_store) -> None:
    trial = mlflow_store.trial_run(name="t", study_run_id=None, tags={})
    client(mlflow_store).delete_run(trial.run_id)

    for attempt in (lambda: trial.metrics({"a": 1.0}), lambda: mlflow_store.open(trial.run_id)):
        with pytest.raises(
            TrackingError, match=f"{trial.run_id} must be .*deleted in the MLflow UI; restore it: .*restore"
        ):
            attempt()


def copied(store: MlflowStore, folder: Path) -> Path:
    with sqlite3.connect(store.folder / "mlflow.db") as here, sqlite3.connect(folder / "mlflow.db") as there:
        here.backup(there)
    return folder


def test_a_folder_that_was_copied_is_not_written_to(tmp_path: Path, mlflow_store) -> None:
    copy = MlflowStore(copied(mlflow_store, tmp_path), mlflow_store.experiment)

    with pytest.raises(TrackingError, match=r"keeps its files in .*artifacts: the folder was moved .*Move it back"):
        copy.prepare()


def test_reading_where_nothing_was_recorded_makes_nothing(tmp_path: Path, mlflow_store) -> None:
    with pytest.raises(TrackingError, match=r"mlflow\.db does not exist. Run a study first"):
        MlflowStore(tmp_path, "tune").children("0" * 32)
    with pytest.raises(TrackingError, match=r"nothing is recorded under track.experiment=other"):
        MlflowStore(mlflow_store.folder, "other").children("0" * 32)

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("these are not the runs you are looking for" * 100)

    with pytest.raises(TrackingError, match=r"cannot be read .*move a damaged file away"):
        MlflowStore(tmp_path, "tune").prepare()


def test_a_database_of_another_mlflow_comes_with_the_upgrade_command(tmp_path: Path, mlflow_store) -> None:
    older = MlflowStore(copied(mlflow_store, tmp_path), mlflow_store.experiment)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")

    with pytest.raises(TrackingError, match=r"out-of-date .*Copy mlflow.db away, then: .*mlflow db upgrade sqlite:"):
        older.prepare()


@pytest.mark.parametrize("place", ["a file/runs", "a file", "what?"])
def test_a_folder_that_cannot_be_written_is_named_with_its_key(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").touch()

    with pytest.raises(ConfigError, match=r"track\.folder=.* cannot be used \(.*\): it must be .*Set track\.folder to"):
        check_writable(tmp_path / place)


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "runs")

    assert list((tmp_path / "new" / "runs").iterdir()) == []


def test_nothing_recorded_holds_host_user_or_path_beyond_the_artifacts(mlflow_store) -> None:
    trial = mlflow_store.trial_run(name="t", study_run_id=None, tags={})

    run = client(mlflow_store).get_run(trial.run_id)
    text = json.dumps(dict(run.data.tags))

    assert str(Path.cwd()) not in text
    assert str(Path.home()) not in text
    assert os.uname().nodename not in text
