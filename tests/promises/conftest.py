"""The promises' own fixtures, and the table that a run of them ends with."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.promises.rows import TITLES
from tests.promises.study_process import CELLS, environment, kill_all, processes_of, tune
from tests.promises.table import FAIL, NOT_RUN, PASS, rows

REPORTS: list[pytest.TestReport] = []


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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rows", help="numbers of promises, with commas, or all: print the table of these")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = _wanted(config)
    unwanted = []
    for item in items:
        numbers = [mark.args[0] for mark in item.iter_markers("promise")]
        item.user_properties += [("promise", number) for number in numbers]
        if wanted and wanted != set(TITLES) and not wanted & set(numbers):
            unwanted.append(item)
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    REPORTS.append(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In continuous integration a promise that was not shown is one that was not kept."""
    verdicts = {row.verdict for row in rows(REPORTS, _wanted(session.config))}
    if os.environ.get("CI") == "true" and verdicts - {PASS}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = rows(REPORTS, _wanted(config))
    if not found:
        return
    terminalreporter.section("promises")
    colours: dict[str, dict[str, bool]] = {PASS: {"green": True}, FAIL: {"red": True}, NOT_RUN: {"yellow": True}}
    for row in found:
        first, *more = row.lines()
        terminalreporter.write_line(first, **colours[row.verdict])
        for line in more:
            terminalreporter.write_line(line)
    counts = {verdict: sum(row.verdict == verdict for row in found) for verdict in (PASS, FAIL, NOT_RUN)}
    terminalreporter.write_line(f"{counts[PASS]} passed, {counts[FAIL]} failed, {counts[NOT_RUN]} not run")


def _wanted(config: pytest.Config) -> set[int]:
    """Return the promises that the table is asked for; none where other tests are run."""
    named = config.getoption("--rows", default=None)
    if not named:
        return set()
    wanted = set(TITLES) if named == "all" else {int(number) for number in named.split(",")}
    if unknown := wanted - set(TITLES):
        msg = (
            f"--rows={named}: there is no promise {', '.join(map(str, sorted(unknown)))}; they are 1 to {len(TITLES)}."
        )
        raise pytest.UsageError(msg)
    return wanted
