"""A study that may only take so long: it stops between steps, says what was not run, and goes on with more."""

from pathlib import Path

import pytest

from tests.promises.study_process import CELLS, record, tune
from tune.config import rules
from tune.config.compose import compose
from tune.config.duration import seconds_of
from tune.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("1h0m5s", 3605)]
)
def test_a_time_as_people_write_it(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["2", "h", "1.5h", "-3m", "30m1h", "0s", "2 hours"])
def test_what_is_no_time_is_refused_in_a_sentence(text: str) -> None:
    config = compose([f"study.budget='{text}'"])

    with pytest.raises(ConfigError, match=r"study\.budget=.* is not allowed: write a time above 0"):
        rules.check(config)


@pytest.mark.slow
def test_a_study_ends_at_its_budget_and_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    runs, words = tmp_path / "runs", [*CELLS, "study.n_trials=2"]

    done = tune(*words, "study.budget=1s", folder=runs)
    stopped = record("cells", runs)
    on = tune(*words, "study.budget=2h", folder=runs)

    assert done.returncode == 0, done.stderr
    assert "study.budget is used" in done.stdout
    assert "2 of 2 trials have not been run to their end" in done.stdout
    assert "larger study.budget" in done.stdout
    assert [trial["state"] for trial in stopped["trials"]] == ["waiting"] * 2
    assert stopped["spent_s"] >= 1
    assert on.returncode == 0, on.stderr
    assert record("cells", runs)["states"]["complete"] == 2
    assert "study.budget is used" not in on.stdout
