"""Which replies are put side by side, from the files in the trials' folders; and both commands as people give them."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.promises.study_process import tune
from tests.study.two_trials import TwoTrials, two_trials
from tune.config.compose import compose
from tune.errors import EvaluationError, StudyError
from tune.examples import Example, Message
from tune.study.replies import read_sides
from tune.study.storage import VERDICT, load_study, snapshot, verdict_of
from tune.track.finals import VerdictRecord
from tune.track.sides_record import SidesRecord


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> TwoTrials:
    return two_trials(tmp_path_factory.mktemp("replies") / "runs", "rated")


@pytest.fixture(autouse=True)
def files(rated: TwoTrials) -> None:
    """Scores of both trials, and no finals."""
    for number in (0, 1):
        rated.write(number, "scores.json", scores(number))
        (rated.folder(number) / "final.json").unlink(missing_ok=True)


def scores(number: int, n: int = 3) -> dict[str, Any]:
    """Return what a trial of n validation questions leaves, as far as replies go."""
    return {
        "split": "validation",
        "examples": [{"id": f"v/{i}", "question": f"Q {i}", "answer": f"right {i}"} for i in range(n)],
        "base": {"replies": [f"base {i}" for i in range(n)]},
        "adapted": {"replies": [f"trial {number} {i}" for i in range(n)]},
    }


def final(number: int, n: int = 2) -> dict[str, Any]:
    """Return what a finalist leaves."""
    return {
        "split": "test",
        "examples": [{"id": f"t/{i}", "question": f"T {i}", "answer": f"right {i}"} for i in range(n)],
        "replies": {side: [f"{side} {number} {i}" for i in range(n)] for side in ("base", "adapter", "deployed")},
    }


def read(rated: TwoTrials, *words: str) -> SidesRecord:
    return read_sides(rated.name, compose([f"track.folder='{rated.runs}'", *words]))


def pairs(found: SidesRecord) -> list[tuple[str, str, str, str]]:
    return [(one.id, one.question, one.reply, one.other) for one in found.asked]


def test_the_best_trial_beside_the_base_is_what_is_read(rated: TwoTrials) -> None:
    found = read(rated)

    assert (found.trial, found.against, found.split, found.confidence) == (1, "base", "validation", 0.95)
    assert pairs(found)[0] == ("v/0", "Q 0", "trial 1 0", "base 0")
    assert len(found.asked) == 3
    assert [one.answer for one in found.asked] == ["right 0", "right 1", "right 2"]
    assert found.trial_folder == rated.folder(1)


def test_another_trial_beside_a_third(rated: TwoTrials) -> None:
    found = read(rated, "sheet.trial=0", "sheet.against=1")

    assert (found.trial, found.against, found.other) == (0, "1", "trial 1")
    assert pairs(found)[2] == ("v/2", "Q 2", "trial 0 2", "trial 1 2")


def test_finals_are_taken_where_both_sides_have_them(rated: TwoTrials) -> None:
    rated.write(1, "final.json", final(1))

    assert read(rated).split == "test"
    assert pairs(read(rated))[0] == ("t/0", "T 0", "adapter 1 0", "base 1 0")
    assert pairs(read(rated, "sheet.form=deployed"))[1] == ("t/1", "T 1", "deployed 1 1", "base 1 1")
    assert read(rated, "sheet.against=0").split == "validation", "trial 0 is no finalist"

    rated.write(0, "final.json", final(0))
    assert pairs(read(rated, "sheet.against=0", "sheet.form=deployed"))[0][2:] == ("deployed 1 0", "deployed 0 0")


def test_the_trial_that_the_verdict_is_about_is_read_and_need_not_be_the_best_on_validation(rated: TwoTrials) -> None:
    study = load_study(rated.name, compose([f"track.folder='{rated.runs}'"]), rated.runs)
    said = VerdictRecord(verdict="SHIP", trial=0, reasons=("The best may not be shipped, this one may.",))
    now = snapshot(study, rated.study_folder)
    study.set_user_attr(VERDICT, {"of": verdict_of(now, now.finalists), "said": asdict(said)})
    try:
        assert read(rated).trial == 0
    finally:
        study.set_user_attr(VERDICT, {})
    assert read(rated).trial == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sheet.trial=7"], "trial 7 of rated is not there or not complete, so it has no replies. Complete are: 0, 1."),
        (["sheet.against=7"], "trial 7 of rated is not there"),
        (["sheet.against=1"], "sheet.against=1 is the trial of rated that is rated. Name another, or base."),
        (["sheet.form=deployed"], "sheet.form=deployed needs the finals of both sides, and there is no final.json in"),
    ],
)
def test_a_trial_that_has_no_replies_is_named(rated: TwoTrials, words: list[str], said: str) -> None:
    with pytest.raises(StudyError) as error:
        read(rated, *words)

    assert said in str(error.value)


def test_files_that_cannot_be_used_are_named(rated: TwoTrials) -> None:
    rated.write(0, "scores.json", scores(0, n=2))
    with pytest.raises(EvaluationError, match="3 questions with 3 replies and 2 with 2 must be the same ones"):
        read(rated, "sheet.against=0")

    rated.write(1, "scores.json", {"base": {}, "adapted": {"replies": []}, "examples": []})
    with pytest.raises(EvaluationError, match=r"scores.json does not hold what a sheet needs \('replies'\)"):
        read(rated)

    (rated.folder(1) / "scores.json").write_text("{")
    with pytest.raises(StudyError, match=r"scores.json is missing or no JSON.*on the machine that ran the trial"):
        read(rated)


def test_a_chat_shows_who_said_what_and_a_single_question_stands_alone() -> None:
    turns = (Message(role="system", content="Be short."), Message(role="user", content="Why?"))

    assert Example(id="a", messages=turns, answer="").question == "system: Be short.\n\nuser: Why?"
    assert Example(id="a", messages=turns[1:], answer="").question == "Why?"


def test_a_sheet_is_made_filled_in_and_read_back_from_the_command_line(rated: TwoTrials, tmp_path: Path) -> None:
    made = tune("sheet", rated.name, "sheet.n=2", f"sheet.folder={tmp_path}", folder=rated.runs)
    assert made.returncode == 0, made.stderr
    assert (
        "trial 1 beside the base, 2 of 3 validation questions\nnote: the search chose by these questions" in made.stdout
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == ["sheet.csv", "sheet.html"], "the key is not there"
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:  # this rater likes the trial
        row["vote"] = "A" if row["reply A"].startswith("trial") else "B"
    with (tmp_path / "sheet.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

    read_back = tune("votes", rated.name, str(tmp_path / "sheet.csv"), folder=rated.runs)
    assert read_back.returncode == 0, read_back.stderr
    assert "Raters do not tell trial 1 and the base apart: 2 wins and 0 losses" in read_back.stdout
    (kept,) = json.loads((rated.folder(1) / "votes.json").read_text()).values()
    assert (kept["questions"]["win"], kept["p"]) == (2, 0.5)
