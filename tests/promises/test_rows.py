"""Every promise is shown by a test, or is named as one that is not yet."""

import re
from pathlib import Path

from rows import NOT_YET, TITLES

SHOWN = {
    int(number)
    for file in Path(__file__).parent.glob("test_*.py")
    for number in re.findall(r"mark\.promise\((\d+)\)", file.read_text())
}


def test_every_promise_has_a_test_or_is_named_as_open() -> None:
    assert set(TITLES) == set(range(1, 28))
    assert set(TITLES) == SHOWN | NOT_YET


def test_a_promise_that_has_a_test_is_open_no_more() -> None:
    assert not SHOWN & NOT_YET
