"""Runs kept by MLflow in one folder (see folder.py); the only user of MLflow.

Only MlflowClient is used, with its address in hand: MLflow's active run and global tracking URI
belong to the user's own code. Metrics are written before a call returns, because MLflow's
asynchronous logging loses them when a process is killed.
"""

import logging
import os
import random
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock

from tune.errors import TrackingError
from tune.track.environment import redact
from tune.track.folder import address, artifacts, check_database, check_writable, database, mlflow_command
from tune.track.recorder import KIND_TAG, STUDY_KIND, STUDY_TAG, RunRecord, RunRecorder, RunStatus, RunStore

_PARENT_TAG = "mlflow.parentRunId"
_SOURCE_TAGS = {"mlflow.source.name": "tune", "mlflow.source.type": "LOCAL"}  # no user and no path of this machine
_STATUS = {
    "FINISHED": RunStatus.finished,
    "FAILED": RunStatus.failed,
    "KILLED": RunStatus.killed,
}
_DELETED = "must be in the 'active' state"
_WAYS_OUT = {
    _DELETED: "It was deleted in the MLflow UI; restore it: {restore}",
    "not found": "Take the id of a run from the report, or look it up in the MLflow UI.",
    "out-of-date database schema": "Another version of MLflow made it. Copy mlflow.db away, then: {upgrade}",
    "database is locked": "Others kept it locked for minutes. Use fewer workers, or a track.folder on a local disk.",
    "mlflow.lock": "Another process has held it for minutes. See that none hangs, then give the same command again.",
    "is full": "Free some space on its disk, then give the same command again.",
    "No space left": "Free some space on its disk, then give the same command again.",
    "readonly database": "Mend the permissions of mlflow.db, or set track.folder to another folder.",
    "Permission denied": "Mend the permissions in the folder, or set track.folder to another one.",
}
_OTHERWISE = "If it happens again, set track.folder to another folder to begin a new record."
_LOCK_LIMIT_S = 120
_TRIES = 5  # each waits for 20 s inside sqlite (MLflow's busy_timeout) before it says "locked"
_PAGE = 1000


class MlflowRecorder(RunRecorder):
    """Writes one run through its store's client."""

    def __init__(self, store: "MlflowStore", run_id: str, *, new: bool) -> None:
        super().__init__(run_id, new=new)
        self._store = store
        self._last_ms = 0

    def finish(self, status: RunStatus) -> None:
        """See `RunRecorder`."""
        assert status is not RunStatus.running, "reopen() makes a run running"
        self._call("set_terminated", status=status.name.upper())

    def reopen(self) -> None:
        """See `RunRecorder`."""
        self._call("update_run", status="RUNNING")

    def _read_params(self) -> dict[str, str]:
        return dict(self._call("get_run").data.params)

    def _read_steps(self, name: str) -> set[int]:
        return {point.step for point in self._call("get_metric_history", name)}

    def _write_params(self, values: dict[str, str]) -> None:
        from mlflow.entities import Param

        self._call("log_batch", params=[Param(name, value) for name, value in values.items()])

    def _write_metrics(self, values: dict[str, float], *, step: int | None) -> None:
        from mlflow.entities import Metric

        # Of two values in one millisecond MLflow takes the larger for the last one, so none share a time.
        self._last_ms = max(time.time_ns() // 1_000_000, self._last_ms + 1)
        points = [Metric(name, value, self._last_ms, step or 0) for name, value in values.items()]
        self._call("log_batch", metrics=points)

    def _write_tags(self, values: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        self._call("log_batch", tags=[RunTag(name, value) for name, value in values.items()])

    def _write_text(self, name: str, content: str) -> None:
        self._call("log_text", content, name)

    def _write_artifact(self, path: Path, *, folder: str | None) -> None:
        self._call("log_artifact", str(path), folder)

    def _call(self, method: str, *args: object, **kwargs: object) -> Any:
        return self._store.call(method, self.run_id, *args, **kwargs)


class MlflowStore(RunStore):
    """The record in one folder, listed under one MLflow experiment."""

    def __init__(self, folder: Path, experiment: str) -> None:
        self.folder = folder.resolve()
        self.experiment = experiment

    def prepare(self) -> None:
        """See `RunStore`. Makes the folder, its database and the experiment where they are missing.

        Raises:
            ConfigError: The folder cannot be written.
            TrackingError: The experiment was deleted, or keeps its files in another folder.
        """
        check_writable(self.folder)
        _load_mlflow()  # takes seconds, so not while others wait
        with self._locked():
            if not database(self.folder).exists():
                _create_database(self.folder)
            if self.call("get_experiment_by_name", self.experiment) is None:
                self.call("create_experiment", self.experiment, artifact_location=artifacts(self.folder).as_uri())
        place = Path(url2pathname(urlsplit(self._experiment().artifact_location).path))
        if place != artifacts(self.folder):
            msg = (
                f"track.experiment={self.experiment} in {self.folder} keeps its files in {place}: the folder was moved "
                "or copied after its first run. Move it back, or record under another track.experiment."
            )
            raise TrackingError(msg)

    def study_run(self, name: str, *, tags: Mapping[str, str]) -> RunRecorder:
        """See `RunStore`. Two processes that ask for the same study at once get the same run."""
        with self._locked():
            return super().study_run(name, tags=tags)

    def open(self, run_id: str) -> RunRecorder:
        """See `RunStore`."""
        if self.call("get_run", run_id).info.lifecycle_stage != "active":
            deleted = f"run {run_id} {_DELETED}"
            raise _plain(deleted, self.folder)
        return MlflowRecorder(self, run_id, new=False)

    def unfinished(self, study_run_id: str) -> list[str]:
        """See `RunStore`."""
        runs = self._search(f"tags.`{_PARENT_TAG}` = '{study_run_id}' and attributes.status = 'RUNNING'")
        return [run.info.run_id for run in runs]

    def children(self, study_run_id: str) -> list[RunRecord]:
        """See `RunStore`."""
        return [_record(run) for run in self._search(f"tags.`{_PARENT_TAG}` = '{study_run_id}'")]

    def call(self, method: str, *args: object, **kwargs: object) -> Any:
        """Return what MlflowClient's `method` returns, trying again while other processes lock the database.

        Every write used here may be repeated: a param or metric that is already there is left alone.
        """
        errors = _load_mlflow()
        for attempt in range(_TRIES):
            try:
                return getattr(self._client, method)(*args, **kwargs)
            except errors as error:
                if "database is locked" not in str(error) or attempt == _TRIES - 1:
                    raise _plain(str(error), self.folder) from error
            time.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # noqa: S311 - spreads processes, guards nothing
        raise AssertionError

    def _find_study(self, name: str) -> str | None:
        # The name is compared here because MLflow's filters cannot quote every name.
        studies = self._search(f"tags.`{KIND_TAG}` = '{STUDY_KIND}'")
        return next((run.info.run_id for run in studies if run.data.tags.get(STUDY_TAG) == name), None)

    def _create(self, name: str, *, parent: str | None, tags: dict[str, str]) -> RunRecorder:
        family = {} if parent is None else {_PARENT_TAG: parent}
        experiment_id = self._experiment().experiment_id
        run = self.call("create_run", experiment_id, tags={**_SOURCE_TAGS, **family, **tags}, run_name=name)
        return MlflowRecorder(self, run.info.run_id, new=True)

    def _search(self, wanted: str) -> Iterator[Any]:
        """Yield the experiment's runs that match MLflow's filter, oldest first."""
        place, order, token = [self._experiment().experiment_id], ["attributes.start_time ASC"], None
        while True:
            page = self.call("search_runs", place, wanted, max_results=_PAGE, order_by=order, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _experiment(self) -> Any:
        found = self.call("get_experiment_by_name", self.experiment)
        if found is None:
            msg = (
                f"nothing is recorded under track.experiment={self.experiment} in {self.folder} yet. Run a study first."
            )
            raise TrackingError(msg)
        if found.lifecycle_stage != "active":
            restore = mlflow_command(self.folder, "experiments", "restore", "--experiment-id", found.experiment_id)
            msg = (
                f"track.experiment={self.experiment} was deleted in the MLflow UI. "
                f"Record under another track.experiment, or restore it: {restore}"
            )
            raise TrackingError(msg)
        return found

    @cached_property
    def _client(self) -> Any:
        check_database(database(self.folder))
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=address(database(self.folder)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.folder / "mlflow.lock", timeout=_LOCK_LIMIT_S)
        try:
            lock.acquire()
        except OSError as error:  # filelock's Timeout is one
            raise _plain(str(error), self.folder) from error
        try:
            yield
        finally:
            lock.release()


def _create_database(folder: Path) -> None:
    """Make MLflow's database beside its place and move it there whole: a kill leaves no half-made schema."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    beside = folder / "mlflow.db.new"
    for rest in (beside, beside.with_name(f"{beside.name}-journal")):
        rest.unlink(missing_ok=True)
    SqlAlchemyStore(address(beside), artifacts(folder).as_uri()).engine.dispose()
    with closing(sqlite3.connect(beside)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # stays with the file; the UI reads while workers write
    beside.replace(database(folder))


@cache
def _load_mlflow() -> tuple[type[Exception], ...]:
    """Import MLflow and return what its calls raise.

    It sends no usage data. Its database layer logs neither progress nor the tracebacks of errors that it raises anyway.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at import
    import mlflow.store.tracking.sqlalchemy_store
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return mlflow.exceptions.MlflowException, SQLAlchemyError, OSError


def _record(run: Any) -> RunRecord:
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name,
        status=_STATUS.get(run.info.status, RunStatus.running),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags={name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")},
    )


def _plain(error: str, folder: Path) -> TrackingError:
    """Return MLflow's error as one paragraph with a way out."""
    way_out = next((advice for words, advice in _WAYS_OUT.items() if words in error), _OTHERWISE)
    first = redact(error.strip().splitlines()[0]).rstrip(".")
    upgrade = mlflow_command(folder, "db", "upgrade", address(database(folder)))
    restore = mlflow_command(folder, "runs", "restore", "--run-id", "ID")
    return TrackingError(f"the record in {folder} failed: {first}. {way_out.format(upgrade=upgrade, restore=restore)}")
