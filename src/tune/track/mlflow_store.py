"""Runs kept by MLflow in one folder, see folder.py."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock

from tune.errors import TrackingError
from tune.track.folder import address, artifacts, check_database, check_writable, database, mlflow_command
from tune.track.mlflow_client import DELETED, UNKNOWN, ClientStore, first_line, load_mlflow
from tune.track.recorder import RunRecorder

_WAYS_OUT = {
    DELETED: "It was deleted in the MLflow UI; restore it: {restore}",
    UNKNOWN: "Take the id of a run from the report, or look it up in the MLflow UI.",
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


class MlflowStore(ClientStore):
    """The record in one folder, listed under one MLflow experiment."""

    def __init__(self, folder: Path, experiment: str) -> None:
        self.folder = folder.resolve()
        self.where = str(self.folder)
        self.experiment = experiment

    def prepare(self) -> None:
        """See `RunStore`. Makes the folder, its database and the experiment where they are missing.

        Raises:
            ConfigError: The folder cannot be written.
            TrackingError: The experiment was deleted, or keeps its files in another folder.
        """
        check_writable(self.folder)
        load_mlflow()  # takes seconds, so not while others wait
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

    def _command(self, *words: str) -> str:
        return mlflow_command(self.folder, *words)

    def _explained(self, error: Exception) -> TrackingError:
        way_out = next((advice for words, advice in _WAYS_OUT.items() if words in str(error)), _OTHERWISE)
        upgrade = self._command("db", "upgrade", address(database(self.folder)))
        restore = self._command("runs", "restore", "--run-id", "ID")
        told = way_out.format(upgrade=upgrade, restore=restore)
        return TrackingError(f"the record in {self.folder} failed: {first_line(error)}. {told}")

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
            raise self._explained(error) from error
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
