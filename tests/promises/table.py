"""From the reports of tests to one verdict a promise."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.promises.rows import TITLES

PASS, FAIL, NOT_RUN = "PASS", "FAIL", "NOT RUN"


@dataclass(kw_only=True)
class Row:
    """What is known of one promise."""

    number: int
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """Return FAIL where a test failed, else NOT RUN where one was skipped or there is none, else PASS."""
        if self.failed:
            return FAIL
        return PASS if self.passed and not self.not_run else NOT_RUN

    def lines(self) -> list[str]:
        """Return what is printed."""
        first = f"{self.number:>2}  {self.verdict:7}  {TITLES[self.number]}  ({self.seconds:.0f} s)"
        return [first, *(f"{'':13}{text}" for text in (*self.evidence, *self.failed, *self.not_run))]


def rows(reports: Iterable[Any], wanted: set[int]) -> list[Row]:
    """Return a row for each wanted promise, from pytest's reports of setup, call and teardown."""
    found = {number: Row(number=number) for number in sorted(wanted)}
    for report in reports:
        properties = report.user_properties
        for number in [value for name, value in properties if name == "promise" and value in found]:
            _add(found[number], report)
    for row in found.values():
        if not (row.passed or row.failed or row.not_run):
            row.not_run.append("no test of it was selected")
    return list(found.values())


def _add(row: Row, report: Any) -> None:
    row.seconds += report.duration
    name = report.nodeid.rsplit("::", 1)[-1]
    if report.when == "teardown" and not report.failed:
        row.evidence += [text for key, text in report.user_properties if key == "evidence"]
    elif hasattr(report, "wasxfail") and report.skipped:
        row.failed.append(f"known: {report.wasxfail.removeprefix('reason: ')}")
    elif report.failed:
        row.failed.append(f"{name}: {_reason(report)}")
    elif report.skipped:
        row.not_run.append(f"{name}: {report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr}")
    elif report.when == "call":
        row.passed += 1


def _reason(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr)).splitlines()[0]
