"""Both stores as one fixture: what the contract promises, each must keep."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

import tune
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunStore

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


@pytest.fixture(params=["memory", "mlflow"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return _memory_bench() if request.param == "memory" else _mlflow_bench(request.getfixturevalue("mlflow_store"))


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
