"""What is the same wherever MLflow keeps its runs, in a folder (mlflow_store.py) or a server (mlflow_server.py).

Only MlflowClient is used, with its address in hand: MLflow's active run and global tracking URI
belong to the user's own code. Metrics are written before a call returns, because MLflow's
asynchronous logging loses them when a process is killed.
"""

import logging
import os
import random
import time
from abc import abstractmethod
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tune.errors import EntryRefused, TrackingError
from tune.track.environment import redact
from tune.track.recorder import Point, RunRecord, RunRecorder, RunStatus
from tune.track.store import KEY_TAG, KIND_TAG, STUDY_KIND, STUDY_TAG, RunStore

_PARENT_TAG = "mlflow.parentRunId"
_SOURCE_TAGS = {"mlflow.source.name": "tune", "mlflow.source.type": "LOCAL"}  # no user and no path of this machine
_STATUS = {
    "FINISHED": RunStatus.finished,
    "FAILED": RunStatus.failed,
    "KILLED": RunStatus.killed,
}
DELETED = "must be in the 'active' state"
UNKNOWN = "not found"
_INVALID = "INVALID_PARAMETER_VALUE"
_TRIES = 5  # each waits for 20 s inside sqlite (MLflow's busy_timeout) before it says "locked"
_PAGE = 1000


class MlflowRecorder(RunRecorder):
    """Writes one run through its store's client."""

    def __init__(self, store: "ClientStore", run_id: str, *, new: bool) -> None:
        super().__init__(run_id, new=new)
        self._store = store

    def finish(self, status: RunStatus, *, at_ms: int | None = None) -> None:
        """See `RunRecorder`."""
        assert status is not RunStatus.running, "reopen() makes a run running"
        if at_ms is not None:
            run = self._call("get_run").info
            if run.status in _STATUS and (run.end_time or 0) > at_ms:
                return
        self._call("set_terminated", status=status.name.upper(), end_time=at_ms)

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

    def _write_points(self, points: list[Point]) -> None:
        from mlflow.entities import Metric

        # A point that is there with this time, step and value is the same row, which the database keeps once.
        metrics = [Metric(point.name, point.value, point.at_ms, point.step or 0) for point in points]
        self._call("log_batch", metrics=metrics)

    def _write_tags(self, values: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        self._call("log_batch", tags=[RunTag(name, value) for name, value in values.items()])

    def _write_text(self, name: str, content: str) -> None:
        self._call("log_text", content, name)

    def _write_artifact(self, path: Path, *, folder: str | None) -> None:
        self._call("log_artifact", str(path), folder)

    def _call(self, method: str, *args: object, **kwargs: object) -> Any:
        return self._store.call(method, self.run_id, *args, **kwargs)


class ClientStore(RunStore):
    """Runs listed under one MLflow experiment."""

    experiment: str
    where: str
    """The folder or the address, as errors may print it."""

    @property
    @abstractmethod
    def _client(self) -> Any:
        """Return an MlflowClient."""

    @abstractmethod
    def _explained(self, error: Exception) -> TrackingError:
        """Return what MLflow raised as one paragraph with a way out."""

    @abstractmethod
    def _command(self, *words: str) -> str:
        """Return the shell command that runs MLflow's own program on this record."""

    def open(self, run_id: str) -> RunRecorder:
        """See `RunStore`."""
        if self.call("get_run", run_id).info.lifecycle_stage != "active":
            raise self._explained(ValueError(f"run {run_id} {DELETED}"))
        return MlflowRecorder(self, run_id, new=False)

    def read(self, run_id: str) -> RunRecord | None:
        """See `RunStore`."""
        try:
            run = self.call("get_run", run_id)
        except TrackingError as error:
            if UNKNOWN in str(error):
                return None
            raise
        return _record(run) if run.info.lifecycle_stage == "active" else None

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
        errors = load_mlflow()
        for attempt in range(_TRIES):
            try:
                return getattr(self._client, method)(*args, **kwargs)
            except errors as error:
                if _refused(error):
                    msg = f"the record in {self.where} does not take this: {first_line(error)}. Mend or rename it."
                    raise EntryRefused(msg) from error
                if "database is locked" not in str(error) or attempt == _TRIES - 1:
                    raise self._explained(error) from error
            time.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # noqa: S311 - spreads processes, guards nothing
        raise AssertionError

    def _find_study(self, name: str) -> str | None:
        # The name is compared here because MLflow's filters cannot quote every name.
        studies = self._search(f"tags.`{KIND_TAG}` = '{STUDY_KIND}'")
        return next((run.info.run_id for run in studies if run.data.tags.get(STUDY_TAG) == name), None)

    def _find_key(self, key: str) -> str | None:
        found = self._search(f"tags.`{KEY_TAG}` = '{key}'")  # no key that check_name lets through has a quote
        return next((run.info.run_id for run in found), None)

    def _create(self, name: str, *, parent: str | None, tags: dict[str, str], at_ms: int | None = None) -> RunRecorder:
        family = {} if parent is None else {_PARENT_TAG: parent}
        experiment_id = self._experiment().experiment_id
        tags = {**_SOURCE_TAGS, **family, **tags}
        run = self.call("create_run", experiment_id, at_ms, tags=tags, run_name=name)
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
                f"nothing is recorded under track.experiment={self.experiment} in {self.where} yet. Run a study first."
            )
            raise TrackingError(msg)
        if found.lifecycle_stage != "active":
            restore = self._command("experiments", "restore", "--experiment-id", found.experiment_id)
            msg = (
                f"track.experiment={self.experiment} was deleted in the MLflow UI. "
                f"Record under another track.experiment, or restore it: {restore}"
            )
            raise TrackingError(msg)
        return found


@cache
def load_mlflow() -> tuple[type[Exception], ...]:
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


def first_line(error: Exception) -> str:
    """Return the first line of what MLflow says, without secrets."""
    return redact((str(error).strip().splitlines() or [type(error).__name__])[0]).rstrip(".")


def _refused(error: Exception) -> bool:
    """Return whether MLflow will never take what it was given. A run that was deleted may be restored."""
    return getattr(error, "error_code", None) == _INVALID and DELETED not in str(error)
