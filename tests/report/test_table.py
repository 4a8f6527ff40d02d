"""The leaderboard of a study worked by hand: order, intervals, failures, notes, and narrow terminals."""

import dataclasses
import io

import pytest
from rich.console import Console

from tune.report.table import print_metrics, print_study
from tune.track.records import StudyRecord, TrialRecord


def trial(number: int, *, rank: int, score: float, state: str = "complete", **more: object) -> TrialRecord:
    metrics = {
        "task/score": score,
        "task/score_base": 0.25,
        "task/score_delta": score - 0.25,
        "task/score_delta_low": score - 0.35,
        "task/score_delta_high": score - 0.15,
        "general/probe/acc": 0.5,
        "general/probe/acc_base": 0.625,
        "general/probe/delta": -0.125,
        "general/probe/delta_low": -0.2,
        "general/probe/delta_high": -0.05,
        "eval/loss": 0.5,
        "eval/loss_base": 1.5,
        "perplexity/domain": 3.25,
        "cost/seconds": 61.4,
        "cost/train_tokens": 12500.0,
    }
    values = {"reason": None, "message": "", "notes": (), "run_id": "r", "seed": 0, "command": "python -m tune"}
    return TrialRecord(
        number=number,
        state=state,
        parameters={"lora.rank": rank, "train.learning_rate": 1e-4},
        metrics=metrics if state == "complete" else {},
        **(values | more),  # type: ignore[arg-type]
    )


STUDY = StudyRecord(
    name="ranks",
    question="Which rank?",
    metric="task/score",
    direction="maximize",
    n_trials=4,
    confidence=0.9,
    run_id="p",
    trials=(
        trial(0, rank=4, score=0.375),
        trial(1, rank=8, score=0.5, notes=("2 of 9 examples were left out.",)),
        trial(2, rank=16, score=0.0, state="failed", reason="diverged", message="loss nan at step 3 of 9."),
        trial(3, rank=32, score=0.0, state="waiting"),
    ),
)


def test_trials_that_may_end_early_show_the_step_they_kept_and_how_many_they_made() -> None:
    console = Console(file=io.StringIO(), width=200)
    steps = {"train/best_step": 8.0, "cost/train_steps": 12.0, "train/planned_steps": 40.0}
    early = trial(0, rank=4, score=0.375)
    early = dataclasses.replace(early, metrics={**early.metrics, **steps})

    print_study(dataclasses.replace(STUDY, trials=(early, *STUDY.trials[1:])), console)

    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined] # a StringIO
    assert any("steps" in line.split() for line in lines)
    assert [line.split().count("8/12") for line in lines if line.split()[:2] in (["1", "1"], ["2", "0"])] == [0, 1]


@pytest.mark.parametrize(
    ("made", "best", "sentence"),
    [
        (12.0, 8.0, "it ended early, after step 12 of 40; the weights after step 8 had the lowest eval loss"),
        (40.0, 40.0, "it made all 40 steps; the weights after step 40 had the lowest eval loss and were kept"),
    ],
)
def test_a_single_trial_says_what_it_made_and_kept(made: float, best: float, sentence: str) -> None:
    console = Console(file=io.StringIO(), width=200)

    print_metrics({"train/best_step": best, "cost/train_steps": made, "train/planned_steps": 40.0}, console)

    said = console.file.getvalue()  # type: ignore[attr-defined] # a StringIO
    assert sentence in said
    assert "train/best_step" not in said


def test_what_was_pruned_is_listed_with_its_step_and_loss_and_has_no_rank() -> None:
    stopped = dataclasses.replace(
        trial(3, rank=64, score=0.9, state="pruned", reason="pruned", pruned_step=40),
        metrics={"eval/step_loss": 1.25},
    )

    lines = printed(study=dataclasses.replace(STUDY, trials=(*STUDY.trials[:3], stopped))).splitlines()

    assert any(line.startswith("4 of 4 trials ended (2 complete, 1 pruned, 1 failed)") for line in lines)
    at = lines.index("1 pruned, by their validation loss on the way; they have no rank")
    assert lines[at + 1] == "  trial 3 after step 40, eval loss 1.250: rank=64 learning_rate=0.0001"
    assert not any("0.9" in line for line in lines)


def printed(width: int = 200, study: StudyRecord = STUDY) -> str:
    out = io.StringIO()
    print_study(study, Console(file=out, width=width, highlight=False, markup=False))
    return out.getvalue()


def test_the_leaderboard_by_hand() -> None:
    lines = [" ".join(line.split()) for line in printed().splitlines()]

    assert "ranks Which rank?" in lines
    assert "3 of 4 trials ended (1 waiting, 2 complete, 1 failed); maximize task/score" in lines
    # 0.5 - 0.25 = +0.25, from 0.5 - 0.35 = +0.15 to 0.5 - 0.15 = +0.35: 0.1 to both sides
    assert "1 1 8 0.0001 0.500 +0.250 ±0.100 -0.125 ±0.075 0.500 3.250 61" in lines
    assert "2 0 4 0.0001 0.375 +0.125 ±0.100 -0.125 ±0.075 0.500 3.250 61" in lines
    assert lines.index("1 1 8 0.0001 0.500 +0.250 ±0.100 -0.125 ±0.075 0.500 3.250 61") < lines.index(
        "2 0 4 0.0001 0.375 +0.125 ±0.100 -0.125 ±0.075 0.500 3.250 61"
    )
    assert "90 %" in printed()
    assert "base: task/score 0.250, general/probe/acc 0.625, eval/loss 1.500" in lines


def test_failures_and_what_was_left_out_are_shown() -> None:
    text = printed()

    assert "trial 2 failed (diverged) rank=16 learning_rate=0.0001: loss nan at step 3 of 9." in text
    assert "note: 2 of 9 examples were left out." in text


def test_the_smallest_is_best_when_the_study_minimizes() -> None:
    study = dataclasses.replace(STUDY, direction="minimize", metric="task/score")

    assert [t.number for t in study.ranked()] == [0, 1]


@pytest.mark.parametrize("width", [200, 100, 80, 60])
def test_no_number_is_cut_and_what_has_no_room_is_named(width: int) -> None:
    text = printed(width)

    for number in ("0.0001", "0.500", "+0.250 ±0.100", "-0.125 ±0.075"):
        assert number in text
    assert "…" not in text
    assert max(len(line) for line in text.splitlines() if "±0.100" in line) <= max(width, 64)
    assert ("no room for" in text) == (width < 100)


def test_a_trial_alone_shows_both_ends_of_an_interval_whose_halves_differ() -> None:
    console = Console(file=io.StringIO(), width=100)
    ends = {"task/score_delta": 0.25, "task/score_delta_low": -0.36236, "task/score_delta_high": 0.69936}

    print_metrics({"task/score": 0.75, "task/score_base": 0.5, **ends}, console)

    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert lines[1] == "task/score 0.500 0.750 +0.250 [-0.362, +0.699]"


def test_a_trial_alone_shows_base_adapted_and_change() -> None:
    out = io.StringIO()

    print_metrics(STUDY.trials[1].metrics, Console(file=out, width=200))

    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert lines[0] == "metric base adapted change"
    assert lines[1] == "task/score 0.250 0.500 +0.250 ±0.100"
    assert lines[2] == "general/probe/acc 0.625 0.500 -0.125 ±0.075"
    assert lines[3] == "eval/loss 1.500 0.500 -1.000"
    assert lines[-1] == "cost/train_tokens 12,500"


def test_brackets_in_what_a_user_wrote_are_printed() -> None:
    odd = dataclasses.replace(STUDY.trials[2], message="data.metrics=[execution] [/] is odd.")
    study = dataclasses.replace(STUDY, question="[red] or [execution]?", trials=(*STUDY.trials[:2], odd))

    text = printed(study=study)

    assert "[red] or [execution]?" in text
    assert "data.metrics=[execution] [/] is odd." in text


def test_seeds_are_shown_as_means_with_what_the_seed_alone_does() -> None:
    results = [(4, 0, 0.4), (8, 0, 0.3), (4, 1, 0.6), (8, 1, 0.5), (16, 0, 0.9)]
    trials = tuple(trial(n, rank=rank, score=score, seed=seed) for n, (rank, seed, score) in enumerate(results))
    text = printed(study=dataclasses.replace(STUDY, trials=trials, seeds=(0, 1)))
    lines = [" ".join(line.split()) for line in text.splitlines()]

    # Means 0.5 and 0.4; both deviate by ±0.1, so their standard deviation and the pooled one are sqrt(0.02) = 0.141.
    assert any(line.startswith("1 0, 2 4 0.0001 0.500 2/2 0.141") for line in lines), text
    assert any(line.startswith("2 1, 3 8 0.0001 0.400 2/2 0.141") for line in lines), text
    assert any(line.startswith("3 4 16 0.0001 0.900 1/2") for line in lines), text
    # t(0.95, 2) * 0.1414 * 1 = 0.413
    assert (
        "seed noise: task/score has a standard deviation of 0.141 between seeds of a point (2 points); means over 2 "
        "seeds that differ by less than 0.413 cannot be told apart at 90 %. The first two differ by 0.100: they cannot "
        "be told apart." in " ".join(text.split())
    )


def test_a_key_that_the_best_trial_has_not_has_a_column_too() -> None:
    best, other = STUDY.trials[1], STUDY.trials[0]
    other = dataclasses.replace(other, parameters={**other.parameters, "quantization.double": True})

    lines = [
        " ".join(line.split()) for line in printed(study=dataclasses.replace(STUDY, trials=(best, other))).split("\n")
    ]

    assert any(line.startswith("1 1 8 0.0001 0.500") for line in lines)
    assert any(line.startswith("2 0 4 0.0001 True 0.375") for line in lines)


def test_keys_that_end_alike_are_told_apart_and_rates_are_not_rounded_to_one_number() -> None:
    trials = [
        dataclasses.replace(
            one, parameters={"train.batch_size": 2, "evaluate.batch_size": 4, "train.learning_rate": rate}
        )
        for one, rate in zip(STUDY.trials[:2], (0.0013, 0.0008), strict=True)
    ]

    text = printed(study=dataclasses.replace(STUDY, trials=tuple(trials)))

    assert "train." in text
    assert "evaluate." in text
    assert "0.0013" in text
    assert "0.0008" in text
