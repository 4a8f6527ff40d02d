"""The table that scripts/promises ends with: a plugin, since pytest tells a conftest.py of the tests below it alone."""

import os
from typing import Any

import pytest

from tests.promises.rows import TITLES
from tests.promises.table import FAIL, NOT_RUN, PASS, rows

KILLS = 50
REPORTS: list[pytest.TestReport] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rows", help="numbers of promises, with commas, or all: print the table of these")
    parser.addoption("--kills", type=int, default=KILLS, help="how many of whoever is there, and a fifth of everybody")


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
