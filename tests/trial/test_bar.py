"""What a long step says where nobody looks at a terminal."""

import time

import pytest

from tune.trial import bar
from tune.trial.bar import Bar


def test_without_a_terminal_a_line_tells_now_and_then_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bar, "_QUIET_S", 0.2)

    with Bar() as shown:
        shown.on("answers", 1, 9)
        time.sleep(0.3)
        shown.on("answers", 2, 9)
        shown.on("answers", 3, 9)

    assert capsys.readouterr().err == "answers 2/9\n"
