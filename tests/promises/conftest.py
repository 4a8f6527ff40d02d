"""The promises' own fixtures."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.promises.plugin import KILLS
from tests.promises.study_process import CELLS, environment, kill_all, processes_of, tune


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model and the base's scores, made once for all promises."""
    top = tmp_path_factory.mktemp("promises")
    (top / "cache").mkdir()
    command = [sys.executable, "-m", "tune", "fetch", "model=tiny"]
    subprocess.run(command, check=True, timeout=120, env=environment(top / "runs"), capture_output=True)
    return top / "cache"


@pytest.fixture
def runs(tmp_path: Path, cache: Path) -> Iterator[Path]:
    """An empty runs folder; whoever still works in it at the end of the test is ended."""
    (tmp_path / "cache").symlink_to(cache)
    yield tmp_path / "runs"
    kill_all()
    left = processes_of(tmp_path)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The runs folder of the study `cells` that nothing happened to."""
    top = tmp_path_factory.mktemp("unbroken")
    (top / "cache").symlink_to(cache)
    done = tune(*CELLS, folder=top / "runs")
    assert done.returncode == 0, done.stderr
    return top / "runs"


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Put a sentence with what was measured into the table."""
    return lambda sentence: request.node.user_properties.append(("evidence", sentence))


@pytest.fixture
def n_kills(request: pytest.FixtureRequest) -> int:
    """How often whoever is there is killed: KILLS times, or as often as --kills says."""
    return int(request.config.getoption("--kills", default=KILLS))
