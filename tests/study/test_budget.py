"""A study that may only take so long: it stops between steps, says what was not run, and goes on with more."""

import os
from pathlib import Path

import pytest

from tests.promises.study_process import CELLS, record, tune
from tests.study.test_attempts import new_study
from tests.study.test_claims import take
from tune.config import rules
from tune.config.compose import compose
from tune.config.duration import seconds_of
from tune.errors import ConfigError
from tune.files import write_json
from tune.study.attempts import running
from tune.study.budget import Clock, spent_s
from tune.study.storage import StudyFolder


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


def test_each_start_adds_its_own_seconds_also_where_two_run_at_once(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.budget=100s")
    one, other = Clock(study, config), Clock(study, config)

    one._began -= 30
    one.tell()
    other._began -= 20
    other.tell()
    one._began -= 5
    one.tell()

    assert spent_s(study) == pytest.approx(35 + 20, abs=2)
    assert not one.is_used()
    other._began -= 46  # not told yet, and known to itself
    assert other.is_used()
    assert not one.is_used()
    other.tell()
    assert one.is_used()
    assert Clock(study, config).is_used(), "whoever comes next"


def test_without_a_budget_nothing_is_ever_used(tmp_path: Path) -> None:
    study, config = new_study(tmp_path)
    clock = Clock(study, config)
    clock._began -= 10**6

    assert not clock.is_used()


def test_a_trial_has_begun_when_its_own_attempt_says_so(tmp_path: Path) -> None:
    study, config = new_study(tmp_path)
    folder = StudyFolder(runs=tmp_path, name=study.study_name)
    claimed = take(study, config)
    (trial,) = running(study)
    file = folder.trial(claimed.root) / "progress.json"
    assert not folder.has_begun(trial)

    write_json(file, {"phase": "training", "done": 1, "total": 2})
    assert folder.has_begun(trial)

    os.utime(file, (0, trial.user_attrs["started"] - 60))  # an attempt before it wrote that
    assert not folder.has_begun(trial)


@pytest.mark.slow
def test_workers_that_only_get_ready_end_with_the_budget(tmp_path: Path) -> None:
    """With 3 s, all four are still at their imports; each would need seconds to hear of it."""
    runs = tmp_path / "runs"

    done = tune(*CELLS, "workers.count=4", "study.budget=3s", folder=runs)

    stopped = record("cells", runs)
    assert done.returncode == 0, done.stderr
    assert stopped["states"]["waiting"] == 4
    assert 3 <= stopped["spent_s"] < 5, "the poll is every half second"


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
