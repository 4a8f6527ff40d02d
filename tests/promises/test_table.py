"""The table says of each promise what its tests said."""

from typing import Any

import pytest

from tests.promises.rows import TITLES
from tests.promises.table import FAIL, NOT_RUN, PASS, rows


def report(number: int, outcome: Any, *, when: Any = "call", longrepr: Any = None, **more: Any) -> pytest.TestReport:
    properties = [("promise", number), ("evidence", "3 of 3")]
    return pytest.TestReport(
        "tests/t.py::test_it",
        ("tests/t.py", 1, "test_it"),
        {},
        outcome,
        longrepr,
        when,
        user_properties=properties,
        duration=1.5,
        **more,
    )


def test_a_promise_is_kept_when_all_its_tests_pass() -> None:
    (row,) = rows([report(3, "passed"), report(3, "passed", when="teardown")], {3})

    assert row.verdict == PASS
    assert row.lines() == [f" 3  PASS     {TITLES[3]}  (3 s)", f"{'':13}3 of 3"]


def test_one_failure_is_enough() -> None:
    (row,) = rows([report(3, "passed"), report(3, "failed", longrepr="E boom\nmore")], {3})

    assert row.verdict == FAIL
    assert row.failed == ["test_it: E boom"]


def test_a_known_failure_is_one() -> None:
    (row,) = rows([report(3, "passed"), report(3, "skipped", wasxfail="reason: not mended yet")], {3})

    assert row.verdict == FAIL
    assert row.failed == ["known: not mended yet"]


def test_what_was_skipped_or_has_no_test_was_not_run() -> None:
    skipped = report(3, "skipped", when="setup", longrepr=("t.py", 1, "Skipped: no root"))

    third, ninth = rows([report(3, "passed"), skipped], {3, 9})

    assert (third.verdict, ninth.verdict) == (NOT_RUN, NOT_RUN)
    assert third.not_run == ["test_it: Skipped: no root"]


def test_other_promises_are_left_out() -> None:
    assert rows([report(3, "failed")], {4})[0].verdict == NOT_RUN
