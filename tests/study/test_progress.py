"""How long a study still takes, by hand."""

from dataclasses import replace

import pytest

from tune.config.guards import GuardConfig
from tune.study.progress import Screen
from tune.track.records import StudyRecord, TrialRecord


def trial(number: int, state: str, seconds: float = 0.0) -> TrialRecord:
    return TrialRecord(
        number=number,
        state=state,
        reason=None,
        message="",
        seed=0,
        parameters={},
        metrics={"cost/seconds": seconds} if state == "complete" else {},
        run_id=None,
        notes=(),
        command="",
    )


def study(*trials: TrialRecord) -> StudyRecord:
    return StudyRecord(
        name="s",
        question="?",
        metric="m",
        direction="maximize",
        n_trials=8,
        confidence=0.95,
        run_id=None,
        trials=trials,
    )


def test_nothing_is_guessed_before_the_first_trial_has_ended() -> None:
    assert study(trial(0, "running"), trial(1, "running")).seconds_left() is None
    assert study(trial(0, "complete", 9)).seconds_left() is None


def test_the_median_trial_over_the_workers() -> None:
    ended = [trial(0, "complete", 300), trial(1, "complete", 100), trial(2, "failed"), trial(3, "complete", 120)]

    left = study(*ended, trial(4, "running"), trial(5, "running")).seconds_left()

    # 8 - 4 = 4 are left, two of them half done: 3 of 120 s by two workers
    assert left == pytest.approx(180)


def test_a_trial_that_ends_says_whether_its_guards_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    guard = GuardConfig(metric="perplexity/general_delta", at_most=6.0)
    broken = {"m": 0.625, "task/score_delta": 0.6, "cost/seconds": 671.2, guard.metric: 12.9}
    ended = replace(trial(1, "complete"), metrics=broken | {f"{guard.metric}_low": 8.2, f"{guard.metric}_high": 18.0})

    Screen().ended(replace(study(ended), guards=(guard,)), ended)

    said = "m 0.625  task/score_delta +0.600  perplexity/general_delta +12.9 BROKEN  671 s"
    assert said in capsys.readouterr().err
