"""SHIP, NO or INSUFFICIENT, and how many more examples it would take."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tune.config.guards import GuardConfig
from tune.evaluate.binary import binary_delta
from tune.evaluate.decide import JudgedGuard, Verdict, more_examples, verdict
from tune.evaluate.paired import Delta

BETTER = Delta(mean=0.05, stderr=0.01, low=0.03, high=0.07, n=400, p=0.0001)
SAME = Delta(mean=0.01, stderr=0.01, low=-0.01, high=0.03, n=400, p=0.32)
WORSE = Delta(mean=-0.05, stderr=0.01, low=-0.07, high=-0.03, n=400, p=0.0001)
FLOOR = GuardConfig(metric="mmlu/delta", at_least=-0.02)


def guard(low: float, high: float, **changes) -> JudgedGuard:
    mean = (low + high) / 2
    delta = Delta(mean=mean, stderr=(high - low) / 4, low=low, high=high, n=1000, p=0.5)
    return JudgedGuard(guard=FLOOR, delta=replace(delta, **changes))


KEPT, OPEN, BROKEN = guard(-0.01, 0.01), guard(-0.03, 0.01), guard(-0.06, -0.03)


@pytest.mark.parametrize(
    ("task", "guards", "said"),
    [
        (BETTER, [], Verdict.ship),
        (BETTER, [KEPT, KEPT], Verdict.ship),
        (BETTER, [KEPT, OPEN], Verdict.insufficient),
        (BETTER, [KEPT, BROKEN], Verdict.no),
        (BETTER, [OPEN, BROKEN], Verdict.no),
        (SAME, [], Verdict.insufficient),
        (SAME, [KEPT], Verdict.insufficient),
        (SAME, [BROKEN], Verdict.no),
        (WORSE, [KEPT], Verdict.no),
        (WORSE, [OPEN], Verdict.no),
    ],
)
def test_what_may_be_said(task: Delta, guards: list[JudgedGuard], said: Verdict) -> None:
    assert verdict(task, guards).verdict == said


def test_the_reasons_are_in_plain_words() -> None:
    decision = verdict(BETTER, [KEPT, BROKEN])

    assert decision.reasons == (
        "the task is better: +5.0 points [3.0, 7.0] on 400 examples",
        "guard mmlu/delta ≥ -0.02 is kept: +0 [-0.01, 0.01]",
        "guard mmlu/delta ≥ -0.02 is broken: -0.045 [-0.06, -0.03]",
    )
    assert decision.more_examples is None


def test_what_ships_has_the_largest_p_of_all_that_it_needs() -> None:
    # The whole interval is on the allowed side just where p is below 0.05: its lower end is on the floor of -0.02.
    edge, far = guard(-0.02, 0.01), guard(0.01, 0.02)

    assert edge.p == pytest.approx(0.05)
    assert KEPT.p < 0.05 < OPEN.p < BROKEN.p == 1
    assert far.p == pytest.approx(2 * norm.sf(1.959964 * 0.035 / 0.005))
    assert verdict(BETTER, []).p == BETTER.p
    assert verdict(BETTER, [far, edge]).p == edge.p
    assert verdict(SAME, [far]).p == SAME.p
    assert verdict(BETTER, [JudgedGuard(guard=FLOOR, delta=None)]).p == 1


@pytest.mark.parametrize(("change", "p"), [(0.0, 0.0), (-0.02, 0.0), (-0.03, 1.0)])
def test_a_guard_whose_interval_is_a_point_is_sure(change: float, p: float) -> None:
    assert guard(change, change, mean=change).p == p


def test_how_many_more_by_hand() -> None:
    # (1.95996 + 0.84162)^2 = 7.8489 standard errors squared; seen at 1, so 400 x 7.8489 = 3139.6 in all, 2739.6 more
    decision = verdict(SAME, [KEPT])

    assert decision.more_examples == 2800
    assert "about 2,800 more examples would settle the task, were the change as seen" in decision.reasons


def test_a_guard_that_is_not_settled_says_how_many_of_its_own_examples() -> None:
    # mean -0.01 stands 0.01 above the floor, the standard error is 0.01: 1000 x 7.8489 - 1000 = 6848.9
    decision = verdict(BETTER, [OPEN])

    assert decision.more_examples == 6900
    assert "guard mmlu/delta ≥ -0.02 is not settled: -0.01 [-0.03, 0.01]" in decision.reasons
    assert (
        "about 6,900 more examples of it would settle mmlu/delta ≥ -0.02, were the change as seen" in decision.reasons
    )


def test_a_change_of_about_zero_cannot_say_how_many_more() -> None:
    decision = verdict(replace(SAME, mean=0.002), [])

    assert decision.verdict == Verdict.insufficient
    assert decision.more_examples is None
    assert "how many more examples would settle the task cannot be said: the change is about zero" in decision.reasons


def test_what_cannot_be_said_of_one_is_not_hidden_by_the_other() -> None:
    decision = verdict(replace(SAME, mean=0.0), [OPEN])

    assert decision.more_examples is None
    assert sum("more examples" in reason for reason in decision.reasons) == 2


def test_a_guard_without_a_measurement_is_not_passed() -> None:
    decision = verdict(BETTER, [JudgedGuard(guard=FLOOR, delta=None)])

    assert decision.verdict == Verdict.insufficient
    assert "guard mmlu/delta ≥ -0.02: it could not be measured" in decision.reasons
    assert "measure mmlu/delta to settle mmlu/delta ≥ -0.02" in decision.reasons


def test_an_interval_and_a_test_that_disagree_do_not_ship() -> None:
    # four right answers gained of 20, none lost: the score interval is above zero, the exact p is 2 / 2^4
    task = binary_delta(4, 0, 20)

    decision = verdict(task, [])

    assert task.low > 0
    assert decision.verdict == Verdict.insufficient
    assert "the interval leaves out zero, but the exact test does not agree (p = 0.12)" in decision.reasons[0]


def test_no_answer_changed_says_what_that_leaves_possible() -> None:
    decision = verdict(binary_delta(0, 0, 50), [])

    assert decision.verdict == Verdict.insufficient
    assert "none of 50 answers changed" in decision.reasons[0]


@given(st.floats(0.3, 1.9), st.integers(10, 10_000))
def test_as_many_more_as_are_asked_for_bring_the_wanted_power(seen: float, n: int) -> None:
    # with n + more examples the standard error shrinks by sqrt(n / (n + more)), and the change stands 2.8 of them off
    delta = Delta(mean=seen, stderr=1.0, low=seen - 2, high=seen + 2, n=n, p=0.5)

    more = more_examples(delta, delta.mean)

    assert more is not None
    assert seen * ((n + more) / n) ** 0.5 >= 1.959964 + 0.841621 - 1e-6
    assert seen * ((n + 0.9 * more) / n) ** 0.5 < 1.959964 + 0.841621
