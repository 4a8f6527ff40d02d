"""The leaderboard of a study of two objectives, worked by hand: the front first, and who is below whom."""

import dataclasses
import json

import pytest

from tests.report.test_table import STUDY, printed, trial
from tune.config.schema import ReportFormat, TrackConfig
from tune.report.command import print_end, print_report
from tune.track.records import ObjectiveRecord, StudyRecord, TrialRecord
from tune.track.repeats import best_points, ranked_points

LOSS = ObjectiveRecord(metric="eval/loss", direction="minimize")


def result(number: int, score: float, loss: float, **more: object) -> TrialRecord:
    found = trial(number, rank=2**number, score=score, command=f"python -m tune lora.rank={2**number}", **more)
    return dataclasses.replace(found, metrics=found.metrics | {"eval/loss": loss})


# Score up, loss down. 1 has the best score and 2 the lowest loss; 0 is worse than 1 in both; 3 than 0 and than 1.
# 4 is as good as 2 in loss and worse in score.
TRIALS = (result(0, 0.5, 1.5), result(1, 0.75, 1.25), result(2, 0.25, 0.5), result(3, 0.25, 2.0), result(4, 0.125, 0.5))
BOTH = dataclasses.replace(STUDY, trials=TRIALS, others=(LOSS,), n_trials=5)


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_front_comes_first_by_the_first_objective_and_then_layer_by_layer() -> None:
    # Layers: {1, 2}, {0, 4}, {3}; each by the score, which is the first objective.
    assert [one.number for one in BOTH.ranked()] == [1, 2, 0, 4, 3]
    assert [[one.number for one in point.trials] for point in best_points(BOTH)] == [[1], [2]]


def test_the_leaderboard_names_the_front_and_what_each_other_is_below() -> None:
    lines = rows(printed(study=BOTH))

    assert "5 of 5 trials ended (5 complete); maximize task/score, minimize eval/loss" in lines
    places = [line for line in lines if line[:2] in {f"{place} " for place in range(1, 6)} and "trials" not in line]
    assert [line.split(" 0.0001")[0] for line in places] == [
        "1 1 front 2",
        "2 2 front 4",
        "3 0 below 1 1",
        "4 4 below 2 16",
        "5 3 below 1 8",
    ]
    assert "0.0001 0.750 1.250 +0.500" in places[0], "both objectives stand beside what was searched"
    assert (
        "Pareto front: trials 1, 2. No other is at least as good in all objectives and better in one; trial 1 is both "
        "beside trial 0, which is below it." in lines
    )


def test_a_front_of_one_beats_all() -> None:
    study = dataclasses.replace(BOTH, trials=TRIALS[:2])

    assert any(line.startswith("Pareto front: trial 1. No other is") for line in rows(printed(study=study)))


def test_one_objective_says_nothing_of_a_front() -> None:
    study = dataclasses.replace(BOTH, others=())

    assert "Pareto" not in printed(study=study)
    assert "front" not in printed(study=study)
    assert [one.number for one in study.ranked()] == [1, 0, 2, 3, 4]


def test_other_programs_get_the_objectives_and_the_front(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(BOTH, ReportFormat.json)
    record = json.loads(capsys.readouterr().out)

    assert record["objectives"] == [
        {"metric": "task/score", "direction": "maximize"},
        {"metric": "eval/loss", "direction": "minimize"},
    ]
    assert "objective" not in record
    assert [(one["trials"], one["values"]) for one in record["front"]] == [
        ([1], {"task/score": 0.75, "eval/loss": 1.25}),
        ([2], {"task/score": 0.25, "eval/loss": 0.5}),
    ]

    print_report(dataclasses.replace(BOTH, others=()), ReportFormat.json)
    record = json.loads(capsys.readouterr().out)

    assert record["objective"] == {"metric": "task/score", "direction": "maximize"}
    assert "objectives" not in record
    assert "front" not in record


def test_the_end_of_a_study_repeats_every_trial_of_the_front(capsys: pytest.CaptureFixture[str]) -> None:
    print_end(BOTH, TrackConfig())
    lines = rows(capsys.readouterr().out)

    assert "Repeat trial 1: python -m tune lora.rank=2" in lines
    assert "Repeat trial 2: python -m tune lora.rank=4" in lines
    assert not any("Repeat the best" in line or "Repeat trial 0" in line for line in lines)


def seeded(*results: tuple[int, int, float, float]) -> StudyRecord:
    """Return a study of (rank, seed, score, loss)."""
    trials = tuple(
        dataclasses.replace(result(n, score, loss, seed=seed), parameters={"lora.rank": rank})
        for n, (rank, seed, score, loss) in enumerate(results)
    )
    return dataclasses.replace(BOTH, trials=trials, seeds=(0, 1))


def test_with_seeds_the_front_is_that_of_the_means_and_one_lucky_seed_beats_none_with_two() -> None:
    # Means: rank 4 (0.5, 1.0), rank 8 (0.25, 1.5), which rank 4 beats; rank 16 has one seed, and is the best by it.
    study = seeded((4, 0, 0.4, 0.5), (8, 0, 0.25, 1.5), (16, 0, 0.9, 0.1), (4, 1, 0.6, 1.5), (8, 1, 0.25, 1.5))

    assert [point.parameters["lora.rank"] for point in ranked_points(study)] == [4, 16, 8]
    assert [point.parameters["lora.rank"] for point in best_points(study)] == [4, 16]
    text = printed(study=study)
    assert any(line.startswith("1 0, 3 front 4 0.500 1.000 2/2 0.141 0.707") for line in rows(text)), text
    assert any(line.startswith("3 1, 4 below 0 8 0.250 1.500 2/2") for line in rows(text)), text
    assert "on average over at least as many seeds" in " ".join(text.split())
    # Score: pooled over two points, sqrt(0.02 / 2) = 0.1; loss: sqrt(0.5 / 2) = 0.5
    assert "seed noise: task/score has a standard deviation of 0.100 between seeds of a point (2 points)" in text
    assert "seed noise: eval/loss has a standard deviation of 0.500 between seeds of a point (2 points)" in text
    assert "The first two differ" not in text
