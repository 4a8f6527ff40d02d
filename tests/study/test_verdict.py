"""What may be said of a study by its finalists, from records written by hand."""

import dataclasses

import pytest

from tests.report.test_table import STUDY, printed, trial
from tune.config.guards import UNGUARDED, GuardConfig
from tune.study.verdict import study_verdict
from tune.track.finals import ADAPTER, DEPLOYED, FinalRecord, FormRecord
from tune.track.records import StudyRecord

GUARD = GuardConfig(metric="general/probe/delta", at_least=-1.0)


def form(verdict: str, p: float = 0.001, why: str = "the task is better") -> FormRecord:
    metrics = {"task/score": 0.5, "task/score_delta": 0.25, "task/score_delta_low": 0.1, "task/score_delta_high": 0.4}
    return FormRecord(metrics=metrics, verdict=verdict, reasons=(why,), more_examples=None, p=p)


def final(number: int, verdict: str, p: float = 0.001, *, adapter: str | None = None) -> FinalRecord:
    forms = {ADAPTER: form(adapter or verdict, p, "as an adapter"), DEPLOYED: form(verdict, p, f"{verdict} because")}
    return FinalRecord(trial=number, n_examples=64, forms=forms)


def study(*finals: FinalRecord) -> StudyRecord:
    numbers = tuple(one.trial for one in finals)
    trials = tuple(trial(number, rank=4, score=0.5) for number in numbers)
    return dataclasses.replace(
        STUDY, trials=trials, n_trials=len(trials), finalists=numbers, finals=finals, guards=(GUARD,)
    )


def test_the_winner_was_named_before_so_its_own_verdict_stands() -> None:
    # Corrected over three it would not hold at 90 %: 3 x 0.05 = 0.15.
    said = study_verdict(study(final(3, "SHIP", 0.05), final(1, "NO"), final(2, "SHIP")))

    assert (said.verdict, said.trial, said.reasons) == ("SHIP", 3, ("SHIP because",))


def test_a_runner_up_has_to_hold_after_the_correction() -> None:
    # Holm over (0.9, 0.04): 0.04 x 2 = 0.08 holds at 90 %, and (0.9, 0.06): 0.12 does not.
    holds = study_verdict(study(final(3, "NO", 0.9), final(1, "SHIP", 0.04)))
    fails = study_verdict(study(final(3, "NO", 0.9), final(1, "SHIP", 0.06)))

    assert (holds.verdict, holds.trial) == ("SHIP", 1)
    assert holds.reasons[:2] == (
        "trial 3, the best on validation, may not be shipped (NO): NO because",
        "trial 1 may, also after Holm's correction over 2 finalists (p = 0.08)",
    )
    assert (fails.verdict, fails.trial) == ("INSUFFICIENT", 3)
    assert fails.reasons == (
        "trial 3, the best on validation: NO",
        "NO because",
        (
            "trial 1, a runner-up: SHIP by itself, but not after Holm's correction over 2 finalists (p = 0.12); "
            "SHIP because"
        ),
    )


def test_who_is_the_best_only_since_the_split_was_looked_at_has_to_hold_too() -> None:
    # Trial 5 was the best when the test split was looked at; the study went on, and now trial 6 is.
    def enlarged(p: float) -> StudyRecord:
        looked_at = (final(5, "INSUFFICIENT", 0.5),)
        return dataclasses.replace(study(final(6, "SHIP", p)), named_first=5, looked_at=looked_at)

    holds, fails = study_verdict(enlarged(0.04)), study_verdict(enlarged(0.06))

    assert (holds.verdict, holds.trial) == ("SHIP", 6)
    assert holds.reasons[0] == (
        "trial 6 was named after the test split had been looked at, and may, also after Holm's correction over 2 "
        "finalists (p = 0.08)"
    )
    assert (fails.verdict, fails.trial) == ("INSUFFICIENT", 6)
    assert "SHIP by itself, but not after Holm's correction over 2 finalists (p = 0.12)" in fails.reasons[0]


def test_who_was_named_first_stands_by_itself_also_as_a_runner_up() -> None:
    said = study_verdict(dataclasses.replace(study(final(6, "NO", 0.9), final(5, "SHIP", 0.09)), named_first=5))

    assert (said.verdict, said.trial) == ("SHIP", 5)
    assert said.reasons == ("trial 6, the best on validation, may not be shipped (NO): NO because", "SHIP because")


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [(("NO", "NO"), "NO"), (("NO", "INSUFFICIENT"), "INSUFFICIENT"), (("INSUFFICIENT", "NO"), "INSUFFICIENT")],
)
def test_no_is_said_where_all_say_no(verdicts: tuple[str, str], word: str) -> None:
    said = study_verdict(study(final(0, verdicts[0]), final(1, verdicts[1])))

    assert (said.verdict, said.trial) == (word, 0)
    assert f"{verdicts[0]} because" in said.reasons
    assert ("trial 0, the best on validation: NO" in said.reasons) is (word != verdicts[0])
    assert said.reasons[-1] == f"trial 1, a runner-up: {verdicts[1]}; {verdicts[1]} because"


def test_what_is_served_decides_and_the_better_form_is_named() -> None:
    said = study_verdict(study(final(0, "INSUFFICIENT", adapter="SHIP")))

    assert said.verdict == "INSUFFICIENT"
    assert said.reasons[-1] == (
        "merged into the weights it is INSUFFICIENT, and as an adapter beside the base SHIP (as an adapter): serve it "
        "unmerged"
    )


def test_a_finalist_that_could_not_be_scored_says_nothing() -> None:
    lost = FinalRecord(trial=0, n_examples=0, forms={}, failure="its adapter is not there.")

    said = study_verdict(study(lost))

    assert said.verdict == "INSUFFICIENT"
    assert said.reasons == ("it could not be scored on the test split: its adapter is not there.",)


def test_that_no_guard_is_named_is_said_once() -> None:
    bare = dataclasses.replace(study(final(0, "NO"), final(1, "NO")), guards=())

    assert study_verdict(bare).reasons == ("NO because", "trial 1, a runner-up: NO; NO because", UNGUARDED)


def test_a_study_whose_every_trial_breaks_a_guard_is_a_no() -> None:
    guarded = dataclasses.replace(study(), guards=(GuardConfig(metric="mmlu/delta", at_least=-0.02),))

    assert study_verdict(guarded).verdict == "NO"
    assert (
        "every trial breaks a guard on the validation split (mmlu/delta ≥ -0.02)" in study_verdict(guarded).reasons[0]
    )


def test_a_report_without_a_verdict_says_what_is_missing() -> None:
    def last(*, scored: int) -> str:
        finals = tuple(final(number, "SHIP") for number in range(scored))
        ended = dataclasses.replace(study(final(0, "SHIP"), final(1, "NO")), finals=finals)
        return " ".join(printed(study=ended).rpartition("No verdict: ")[2].split())

    assert last(scored=0).startswith("nothing was scored on the test split. python -m tune finals ")
    assert last(scored=1).startswith("1 of 2 finalists are not scored on the test split yet. python -m tune finals ")
    assert last(scored=2).startswith("the study went on after its last one. python -m tune finals ")


def test_the_report_ends_with_the_finals_and_the_verdict() -> None:
    ended = study(final(0, "SHIP"), final(1, "NO"))
    ended = dataclasses.replace(ended, verdict=dataclasses.replace(study_verdict(ended), enough=("Take rank=4.",)))

    lines = [" ".join(line.split()) for line in printed(study=ended).splitlines()]

    assert "The best on the test split: 64 examples that nothing was chosen by, changes with 90 % intervals" in lines
    assert "0 deployed 0.500 +0.250 [+0.100, +0.400] SHIP" in lines
    assert lines[-3:] == ["verdict: SHIP trial 0", "SHIP because", "enough: Take rank=4."]


def test_a_study_that_ended_without_finals_says_how_to_get_them() -> None:
    ended = dataclasses.replace(STUDY, trials=STUDY.trials[:2], n_trials=2)

    assert "No verdict: nothing was scored on the test split. python -m tune finals ranks does it." in printed(
        study=ended
    )
