"""A leaderboard with guards, worked by hand: what keeps them comes first, whatever the others score."""

import dataclasses
import json

import pytest

from tests.report.test_table import STUDY, printed, trial
from tune.config.guards import GuardConfig
from tune.config.schema import ReportFormat
from tune.report.command import print_report
from tune.track.records import ObjectiveRecord, StudyRecord, TrialRecord
from tune.track.repeats import best_points, ranked_points

PROBE = "general/probe/delta"
GUARD = GuardConfig(metric=PROBE, at_least=-0.125)


def result(number: int, score: float, low: float, high: float, **more: object) -> TrialRecord:
    found = trial(number, rank=2**number, score=score, **more)
    return dataclasses.replace(found, metrics=found.metrics | {f"{PROBE}_low": low, f"{PROBE}_high": high})


KEPT, KEPT_WORSE = result(0, 0.5, -0.125, 0.0), result(1, 0.25, -0.1, 0.1)
UNSURE, BROKEN = result(2, 0.75, -0.2, -0.05), result(3, 1.0, -0.5, -0.25)
GUARDED = dataclasses.replace(STUDY, trials=(BROKEN, UNSURE, KEPT_WORSE, KEPT), guards=(GUARD,), n_trials=4)


def numbers(study: StudyRecord) -> list[int]:
    return [one.number for one in study.ranked()]


def test_the_best_that_keeps_the_guard_wins_and_the_highest_score_that_breaks_it_is_last() -> None:
    assert numbers(GUARDED) == [0, 1, 2, 3]
    assert [point.trials[0].number for point in best_points(GUARDED)] == [0]
    assert numbers(dataclasses.replace(GUARDED, guards=())) == [3, 2, 0, 1], "without it the score alone counts"


def test_the_leaderboard_says_of_each_row_and_of_each_guard() -> None:
    text = printed(study=GUARDED)
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert [word for line in lines for word in ("kept", "unsure", "BROKEN") if f" {word} " in line][:4] == [
        *("kept", "kept"),
        *("unsure", "BROKEN"),
    ]
    assert (
        "guard general/probe/delta ≥ -0.125: kept by 0, 1; not settled for 2; BROKEN by 3, by the 90 % interval (the "
        "limit lies inside the interval: more examples would settle it)" in lines
    )


def test_with_several_objectives_only_what_keeps_the_guards_is_on_the_front() -> None:
    loss = ObjectiveRecord(metric="eval/loss", direction="minimize")
    study = dataclasses.replace(GUARDED, others=(loss,))

    assert study.depths([one.metrics for one in study.ranked()]) == [0, 1, 2, 3]
    assert "Pareto front: trial 0. No other" in printed(study=study)
    assert "guard failed" in printed(study=study)


def test_with_seeds_a_point_is_judged_by_the_mean_of_its_intervals() -> None:
    # Points of rank 1: lows -0.1 and -0.2, mean -0.15 < -0.125: unsure. Rank 2: kept, with one seed fewer.
    trials = (result(0, 0.9, -0.1, 0.1, seed=0), result(0, 0.9, -0.2, 0.0, seed=1), result(1, 0.1, -0.1, 0.1, seed=0))
    study = dataclasses.replace(GUARDED, trials=trials, seeds=(0, 1))

    assert [point.parameters["lora.rank"] for point in ranked_points(study)] == [2, 1]


def test_other_programs_get_the_guards_and_what_they_say_of_each_trial(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(GUARDED, ReportFormat.json)
    record = json.loads(capsys.readouterr().out)

    assert record["guards"] == [{"metric": PROBE, "at_least": -0.125, "at_most": None}]
    assert [one["guards"] for one in record["trials"]] == [
        {PROBE: said} for said in ("failed", "unsure", "passed", "passed")
    ]
