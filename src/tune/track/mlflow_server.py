"""Runs kept by an MLflow server, which also takes their files (`mlflow server --serve-artifacts`, its default)."""

import logging
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from tune.errors import EntryRefused, StoreAway, TrackingError
from tune.track.environment import redact
from tune.track.mlflow_client import DELETED, ClientStore, first_line
from tune.track.recorder import RunRecorder

_SETTINGS = {
    # MLflow's own patience is minutes long. Ours is a file on disk that waits for hours, see buffer.py; one more try
    # is for a kept-open connection that the server has closed meanwhile.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds, to connect and for each answer
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for results; the address may hold a password
}
_AWAY_CODES = {408, 429, 502, 503, 504}  # not ready, or too busy; 500 is a fault of the server's that may stay
_TOO_LARGE = 413
_UNREACHED = re.compile(r"failed with (?:timeout )?exception")  # of http_request in mlflow/utils/rest_utils.py
_CODE = re.compile(r"too many (\d{3}) error responses|failed with error code (\d{3})")
_WAYS_OUT = {
    DELETED: "It was deleted in the MLflow UI; restore it: {restore}",
    "UNAUTHENTICATED": "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    "PERMISSION_DENIED": "Ask whoever runs the server to let you write, or record under another track.experiment.",
    "Invalid Host header": "Its --allowed-hosts must have the name that track.uri calls it by.",
    "not found": "Take the id of a run from the report, or look it up in the MLflow UI.",
}
_OTHERWISE = "See the server's own log; leave track.uri and TUNE_TRACKING_URI out to record in track.folder."
_LOCK_LIMIT_S = 120


class ServerStore(ClientStore):
    """The record in a server, listed under one MLflow experiment.

    Raises:
        StoreAway: The server cannot be reached, or is not ready.
    """

    def __init__(self, uri: str, experiment: str, *, folder: Path) -> None:
        """Remember the address; nothing is asked yet. `folder` holds the lock between this machine's processes."""
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # StoreAway says it; not at every try
        self._uri = uri.rstrip("/")
        self._folder = folder
        self.where = redact(self._uri)
        self.experiment = experiment

    def prepare(self) -> None:
        """See `RunStore`. Makes the experiment where it is missing; of several processes one makes it.

        Raises:
            TrackingError: The experiment was deleted, or the server would have clients write files to their own disk.
        """
        if self.call("get_experiment_by_name", self.experiment) is None:
            try:
                self.call("create_experiment", self.experiment)
            except TrackingError:
                if self.call("get_experiment_by_name", self.experiment) is None:
                    raise
        place = self._experiment().artifact_location
        if urlsplit(place).scheme in {"", "file"}:
            msg = (
                f"track.experiment={self.experiment} in {self.where} keeps its files in {redact(place)}, which would "
                "be a folder of this machine and not of the server's. Start the server with --serve-artifacts (and no "
                "--default-artifact-root), and record under another track.experiment."
            )
            raise TrackingError(msg)

    def study_run(self, name: str, *, tags: Mapping[str, str]) -> RunRecorder:
        """See `RunStore`. Two processes of this machine that ask for the same study at once get the same run."""
        with self._locked():
            return super().study_run(name, tags=tags)

    def _command(self, *words: str) -> str:
        return shlex.join(["env", f"MLFLOW_TRACKING_URI={self.where}", sys.executable, "-m", "mlflow", *words])

    def _explained(self, error: Exception) -> TrackingError:
        code = _code(error)
        if code in _AWAY_CODES or (code is None and _UNREACHED.search(str(error))):
            msg = (
                f"the MLflow server {self.where} does not answer ({_reason(error, code)}). Start it, or mend track.uri "
                "or TUNE_TRACKING_URI; what was recorded meanwhile waits on disk and is sent when it is back."
            )
            return StoreAway(msg)
        if code == _TOO_LARGE:
            return EntryRefused(f"the MLflow server {self.where} takes no file this large. Raise its proxy's limit.")
        way_out = next((advice for words, advice in _WAYS_OUT.items() if words in str(error)), _OTHERWISE)
        told = way_out.format(restore=self._command("runs", "restore", "--run-id", "ID"))
        return TrackingError(f"the record in {self.where} failed: {first_line(error)}. {told}")

    @cached_property
    def _client(self) -> Any:
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self._uri)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / "mlflow.lock", timeout=_LOCK_LIMIT_S):
                yield
        except TimeoutError as error:
            msg = f"another process has held {self._folder / 'mlflow.lock'} for minutes. See that none hangs."
            raise TrackingError(msg) from error


def _code(error: Exception) -> int | None:
    """Return the HTTP status that the server answered with, where it is known."""
    answer = getattr(error, "response", None)  # of requests, which artifacts are sent with
    if answer is not None:
        return int(answer.status_code)
    if found := _CODE.search(str(error)):
        return int(found[1] or found[2])
    return None


def _reason(error: Exception, code: int | None) -> str:
    """Return why it is away, in a few words; MLflow's own take three lines."""
    if code is not None:
        return f"HTTP {code}"
    words = {
        "refused": "connection refused",
        "resolve": "no such host",
        "timed out": "no answer in time",
        "SSL": "its certificate is not trusted",
    }
    return next((short for part, short in words.items() if part in str(error)), first_line(error)[:200])
