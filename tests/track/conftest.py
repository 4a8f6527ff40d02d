"""All ways to record as one fixture: what the contract promises, each must keep."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import tune
from tune.track.buffer import BufferedRecorder, buffered_run
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunRecord, RunRecorder
from tune.track.store import KEY_TAG, RunStore

_EXPERIMENTS = count()


@dataclass(frozen=True)
class Bench:
    """A store, and the text of an artifact that it keeps (None if it does not)."""

    store: RunStore
    read: Callable[[str, str], str | None]


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for all tests, in a folder whose name needs quoting everywhere; each test has its own experiment."""
    return tmp_path_factory.mktemp("runs") / "läufe 100% #1"


@pytest.fixture
def mlflow_store(runs_folder: Path) -> MlflowStore:
    store = MlflowStore(runs_folder, f"experiment-{next(_EXPERIMENTS)}")
    store.prepare()
    return store


@pytest.fixture(params=["memory", "mlflow", "buffered"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "memory":
        yield _memory_bench()
        return
    store = request.getfixturevalue("mlflow_store")
    if request.param == "mlflow":
        yield _mlflow_bench(store)
        return
    buffered = BufferedStore(store, tmp_path / "runs")
    yield Bench(buffered, buffered.settled(_mlflow_bench(store).read))
    buffered.close()


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a Python program in a process of its own, which does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: object) -> "subprocess.Popen[str]":
        env = {**os.environ, "PYTHONPATH": str(Path(tune.__file__).parent.parent)}
        command = [sys.executable, "-c", program, *map(str, arguments)]
        started.append(subprocess.Popen(command, env=env, stdout=-1, stderr=-1, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


class BufferedStore(RunStore):
    """Records trials through journals on disk; whoever reads waits until all is sent."""

    def __init__(self, store: RunStore, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._recorders: list[BufferedRecorder] = []
        self._folders: dict[str, Path] = {}

    def prepare(self) -> None:
        self._store.prepare()

    def study_run(self, name: str, *, tags: Mapping[str, str]) -> RunRecorder:
        return self._store.study_run(name, tags=tags)

    def trial_run(self, *, name, study_run_id, tags, key=None, **_: object) -> RunRecorder:
        folder = self._folder / f"{len(self._recorders)}"
        tags = {**tags, **({KEY_TAG: key} if key else {})}
        recorder = buffered_run(self._store, folder, name=name, study_run_id=study_run_id, tags=tags)
        self._folders[recorder.run_id] = folder
        self._recorders.append(recorder)
        return recorder

    def open(self, run_id: str) -> RunRecorder:
        if run_id not in self._folders:
            return self._store.open(run_id)
        folder = self._folders[run_id]
        recorder = buffered_run(self._store, folder, name="", study_run_id=None, tags={}, run_id=run_id)
        self._recorders.append(recorder)
        return recorder

    def read(self, run_id: str) -> RunRecord | None:
        run = self.settled(self._store.read)(run_id)
        if run is not None:
            run.tags.pop(KEY_TAG, None)
        return run

    def unfinished(self, study_run_id: str) -> list[str]:
        return self.settled(self._store.unfinished)(study_run_id)

    def children(self, study_run_id: str) -> list[RunRecord]:
        children = self.settled(self._store.children)(study_run_id)
        for child in children:
            child.tags.pop(KEY_TAG, None)
        return children

    def settled(self, read: Callable[..., Any]) -> Callable[..., Any]:
        """Return `read`, after all that was recorded has been sent."""

        def wait_and_read(*arguments: str) -> Any:
            for recorder in self._recorders:
                assert recorder.flush(limit_s=60), recorder.trouble or recorder.away
            return read(*arguments)

        return wait_and_read

    def close(self) -> None:
        for recorder in self._recorders:
            recorder.close(limit_s=0)

    def _find_study(self, name: str) -> str | None:
        raise NotImplementedError

    def _find_key(self, key: str) -> str | None:
        return self.settled(self._store.find)(key)

    def _create(self, name, *, parent, tags, at_ms=None) -> RunRecorder:
        raise NotImplementedError


def _memory_bench() -> Bench:
    from tune.track.memory_store import MemoryStore

    store = MemoryStore()

    def read(run_id: str, name: str) -> str | None:
        content = store.runs[run_id].artifacts.get(name)
        return None if content is None else content.decode()

    return Bench(store, read)


def _mlflow_bench(store: MlflowStore) -> Bench:
    def read(run_id: str, name: str) -> str | None:
        path = store.folder / "artifacts" / run_id / "artifacts" / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    return Bench(store, read)


def history(store: MlflowStore, run_id: str, name: str) -> list[tuple[int, float]]:
    """Return every point that MLflow holds of a metric, as (step, value): a point drawn twice is there twice."""
    return sorted((point.step, point.value) for point in store.call("get_metric_history", run_id, name))


@pytest.fixture
def points() -> Callable[[MlflowStore, str, str], list[tuple[int, float]]]:
    return history
