"""What an interval says of a floor, and which guards cannot be judged; intervals worked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.config.guards import GuardConfig, Judged, impossible_guards, judge_all

FLOOR = GuardConfig(metric="mmlu/delta", at_least=-0.02)
CEILING = GuardConfig(metric="perplexity/general_delta", at_most=1.5)
KNOWN = ["mmlu/acc", "mmlu/delta", "mmlu/delta_low", "mmlu/delta_high", "task/score", "cost/seconds"]


@pytest.mark.parametrize(
    ("low", "high", "judged"),
    [
        (-0.02, 0.01, Judged.passed),  # the floor itself is allowed
        (-0.021, 0.01, Judged.unsure),
        (-0.05, -0.02, Judged.unsure),
        (-0.05, -0.021, Judged.failed),
    ],
)
def test_a_floor_is_kept_where_the_whole_interval_is_above_it(low: float, high: float, judged: Judged) -> None:
    assert FLOOR.judge(low, high) is judged


@pytest.mark.parametrize(
    ("low", "high", "judged"),
    [(-1.0, 1.5, Judged.passed), (1.0, 2.0, Judged.unsure), (1.6, 2.0, Judged.failed)],
)
def test_a_ceiling_is_the_other_way_round(low: float, high: float, judged: Judged) -> None:
    assert CEILING.judge(low, high) is judged


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1))
def test_a_ceiling_is_a_floor_upside_down(low: float, width: float, limit: float) -> None:
    up = GuardConfig(metric="m", at_least=limit).judge(low, low + width)
    down = GuardConfig(metric="m", at_most=-limit).judge(-low - width, -low)

    assert up is down


def test_several_guards_say_the_worst_of_what_each_says() -> None:
    metrics = {"mmlu/delta_low": -0.03, "mmlu/delta_high": 0.0}
    metrics |= {"perplexity/general_delta_low": 2.0, "perplexity/general_delta_high": 3.0}

    assert judge_all([], metrics) is Judged.passed
    assert judge_all([FLOOR], metrics) is Judged.unsure
    assert judge_all([FLOOR, CEILING], metrics) is Judged.failed


def test_what_cannot_be_judged_is_named_with_the_nearest_change() -> None:
    wrong = [GuardConfig(metric="mmlu/dleta", at_least=0.0), GuardConfig(metric="cost/seconds", at_most=3.0)]
    wrong += [GuardConfig(metric="mmlu/delta"), GuardConfig(metric="mmlu/delta", at_least=0.0, at_most=1.0)]

    said = list(impossible_guards(wrong, KNOWN))

    assert said == [
        "sweep.guards: metric=mmlu/dleta is no change with an interval that trials report. Did you mean mmlu/delta?",
        "sweep.guards: metric=cost/seconds is no change with an interval that trials report. There is: mmlu/delta.",
        (
            "sweep.guards: mmlu/delta has at_least=None and at_most=None: set one of them, as in {metric: mmlu/delta, "
            "at_least: -0.02}."
        ),
        (
            "sweep.guards: mmlu/delta has at_least=0.0 and at_most=1.0: set one of them, as in {metric: mmlu/delta, "
            "at_least: -0.02}."
        ),
        "sweep.guards names mmlu/delta 2 times: one guard a metric.",
    ]
