"""Whose replies are judged, from the files in the trials' folders; and the command as people give it."""

import json
import subprocess
from typing import Any

import pytest

from tests.evaluate.judge.server import Sent, Served, better, block, fair, is_pair, rubric, serve
from tests.promises.study_process import tune
from tests.study.two_trials import TwoTrials, two_trials
from tune.config.compose import compose
from tune.errors import StudyError
from tune.study.judged import read_judged
from tune.study.storage import FINAL_OF, load_study
from tune.study.visit import read_study
from tune.track.finals import FinalRecord, FormRecord
from tune.track.sides_record import SidesRecord

KEY = "quite-a-secret/of+mine"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> TwoTrials:
    return two_trials(tmp_path_factory.mktemp("judged") / "runs", "ended")


@pytest.fixture(autouse=True)
def files(ended: TwoTrials) -> None:
    """Scores of both trials, and no finals."""
    for number in (0, 1):
        for name in ("final.json", "judge.json"):
            (ended.folder(number) / name).unlink(missing_ok=True)
        mark(ended, number, None)
        replies = {"base": {"replies": ["base 2", "base 3"]}, "adapted": {"replies": [f"trial {number + 3}"] * 2}}
        ended.write(number, "scores.json", {"split": "validation", "examples": examples("v"), **replies})


def read(ended: TwoTrials, *words: str) -> list[SidesRecord]:
    return read_judged(ended.name, compose([f"track.folder='{ended.runs}'", *words]))


def examples(split: str) -> list[dict[str, str]]:
    return [{"id": f"{split}/{i}", "question": f"Question {i}", "answer": f"right {i}"} for i in range(2)]


def mark(ended: TwoTrials, number: int, final: FinalRecord | None) -> None:
    study = load_study(ended.name, compose([f"track.folder='{ended.runs}'"]), ended.runs)
    study.set_user_attr(f"{FINAL_OF}{number}", final and final.to_json())


def finals(ended: TwoTrials, *numbers: int) -> None:
    form = FormRecord(metrics={}, verdict="SHIP", reasons=(), more_examples=None, p=0.01)
    for number in numbers:
        mark(ended, number, FinalRecord(trial=number, n_examples=2, forms={"adapter": form, "deployed": form}))
        replies = {"base": ["base 2", "base 3"], "adapter": ["adapter 5", "adapter 4"], "deployed": ["deployed 1"] * 2}
        ended.write(number, "final.json", {"split": "test", "examples": examples("t"), "replies": replies})


def judge(ended: TwoTrials, served: Served, *words: str, **variables: str) -> Any:
    address = (f"evaluate.judge.base_url={served.url}", "evaluate.judge.model=tester", "evaluate.judge.backoff_s=0.01")
    return tune("judge", ended.name, *address, *words, folder=ended.runs, no_proxy="*", **variables)


def test_without_finals_it_is_the_best_trial_on_validation(ended: TwoTrials) -> None:
    (sides,) = read(ended)

    assert (sides.trial, sides.split, sides.against) == (1, "validation", "base")
    assert [(one.reply, one.other) for one in sides.asked] == [("trial 4", "base 2"), ("trial 4", "base 3")]


def test_with_finals_it_is_every_finalist_on_the_test_split(ended: TwoTrials) -> None:
    finals(ended, 0, 1)

    assert [(sides.trial, sides.split) for sides in read(ended)] == [(1, "test"), (0, "test")]
    deployed = read(ended, "evaluate.judge.form=deployed")
    assert [sides.asked[0].reply for sides in deployed] == ["deployed 1", "deployed 1"]
    assert [sides.trial for sides in read(ended, "evaluate.judge.trial=1")] == [1]


def test_who_was_a_finalist_of_an_earlier_end_is_none_now(ended: TwoTrials) -> None:
    finals(ended, 0, 1)
    mark(ended, 0, None)  # its final.json is there still

    assert [sides.trial for sides in read(ended)] == [1]


def test_what_the_deployed_form_needs_is_said_in_the_judges_own_keys(ended: TwoTrials) -> None:
    with pytest.raises(StudyError, match=r"evaluate.judge.form=deployed needs the finals.* evaluate.judge.trial=…"):
        read(ended, "evaluate.judge.form=deployed")


def test_a_trial_that_is_not_there_is_named(ended: TwoTrials) -> None:
    with pytest.raises(StudyError, match="trial 9 of ended is not there or not complete"):
        read(ended, "evaluate.judge.trial=9")


def test_the_command_judges_keeps_and_says(ended: TwoTrials) -> None:
    finals(ended, 0)

    with serve(fair) as served:
        done = judge(ended, served, TUNE_JUDGE_API_KEY=KEY)

    assert done.returncode == 0, done.stderr
    assert served.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert done.stdout.splitlines()[1].split()[:3] == ["0", "test", "2"]
    assert "tester does not tell trial 0 and its base apart: 2 wins, 0 losses and 0 ties of 2" in done.stdout
    assert "helpfulness: 2.50 to 4.50 of 5, +2.00" in done.stdout
    assert "Cost: 8 requests, 0 answers from the cache, 800 tokens read and 80 written." in done.stdout
    kept = json.loads((ended.folder(0) / "judge.json").read_text())["tester adapter"]
    assert (kept["trial"], kept["split"], kept["form"], kept["model"]) == (0, "test", "adapter", "tester")
    assert kept["metrics"]["judge/win_rate"] == 1.0
    assert kept["examples"][0]["base"] == {"helpfulness": 2, "accuracy": 2, "style": 2}
    assert KEY not in done.stdout + done.stderr
    # In a process of its own: sqlite loses its locks where this one opens and closes its files.
    found = subprocess.run(
        ["/bin/grep", "-rlF", KEY, str(ended.runs.parent)], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (1, ""), "the key stands in a file"


def test_what_another_judge_said_stays(ended: TwoTrials) -> None:
    finals(ended, 0)

    with serve(fair) as served:
        judge(ended, served)
        judge(ended, served, "evaluate.judge.model=other", "evaluate.judge.form=deployed")

    assert list(json.loads((ended.folder(0) / "judge.json").read_text())) == ["other deployed", "tester adapter"]


def test_a_judge_that_is_down_takes_nothing_away(ended: TwoTrials) -> None:
    with serve(fair) as served:
        judge(ended, served)
    before = (ended.folder(1) / "judge.json").read_text()

    with serve(lambda _text, _number: Sent(status=503)) as served:
        down = judge(ended, served, "evaluate.judge.max_failures=1", "evaluate.judge.retries=0")

    assert down.returncode == 1
    assert "Nothing was answered; what was judged before stays in" in down.stdout
    assert (ended.folder(1) / "judge.json").read_text() == before


def test_the_command_says_that_there_are_no_finals(ended: TwoTrials) -> None:
    with serve(fair) as served:
        done = judge(ended, served, "report.format=json")
        shown = judge(ended, served)

    (plain,) = json.loads(done.stdout)
    assert (plain["trial"], plain["split"], plain["cost"]["n_requests"]) == (1, "validation", 8)
    assert shown.stdout.startswith("The finals have not been run, so these are validation replies.")
    assert "Cost: 0 requests, 8 answers from the cache" in shown.stdout


def test_a_judge_that_is_down_leaves_the_trial_as_it_was(ended: TwoTrials) -> None:
    def down(_text: str, _number: int) -> Sent:
        return Sent(status=503)

    with serve(down) as served:
        done = judge(ended, served, "evaluate.judge.max_failures=1")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "2 of 2 examples are missing, in part or whole" in done.stdout
    assert json.loads((ended.folder(1) / "judge.json").read_text())["tester adapter"]["metrics"]["judge/missing"] == 1
    study = read_study(ended.name, compose([f"track.folder='{ended.runs}'"]))
    assert [trial.state for trial in study.trials[:2]] == ["complete", "complete"]


def test_a_judge_that_takes_the_first_is_found_out(ended: TwoTrials) -> None:
    def first(text: str, _number: int) -> str:
        return better("A") if is_pair(text) else rubric(int(block("REPLY", text).split()[-1]))

    with serve(first) as served:
        done = judge(ended, served)

    assert "In 100% of the pairs the judge took the same place in both orders, which is a tie." in done.stdout
    assert "trust it little" in done.stdout
