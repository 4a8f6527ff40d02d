"""When a training ends early and what is best in it: by hand, and as what must hold of any curve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.config.early_stopping import EarlyStoppingConfig
from tune.config.recipe import Schedule, TrainConfig
from tune.train.evals import Eval
from tune.train.stopping import Stopping, stopping_of


def evals(losses: list[float]) -> list[Eval]:
    return [Eval(index=place, step=10 * place, loss=loss) for place, loss in enumerate(losses, start=1)]


def ends_after(losses: list[float], *, patience: int, least_gain: float = 0.0, idle_steps: int = 0) -> int | None:
    rule = Stopping(patience=patience, least_gain=least_gain, idle_steps=idle_steps)
    found = evals(losses)
    return next((n for n in range(len(found) + 1) if rule.is_over(found[:n])), None)


@pytest.mark.parametrize(
    ("losses", "patience", "least_gain", "end"),
    [
        ([3.0, 2.0, 2.5, 1.0], 1, 0.0, 3),
        ([3.0, 2.0, 2.5, 1.0], 2, 0.0, None),  # the fourth is lower, and counting begins anew
        ([3.0, 2.0, 2.5, 2.1, 1.0], 2, 0.0, 4),
        ([3.0, 3.0, 3.0], 2, 0.0, 3),  # as low is not lower
        ([3.0, 2.95, 2.9, 2.85], 2, 0.1, 3),  # 2.95 and 2.9 are within 0.1 of 3; 2.85 comes too late
        ([3.0, 2.95, 2.85, 2.8], 2, 0.1, None),  # small gains add up to one that counts
        ([3.0], 1, 0.0, None),
        ([], 1, 0.0, None),
    ],
)
def test_ends_by_hand(losses: list[float], patience: int, least_gain: float, end: int | None) -> None:
    assert ends_after(losses, patience=patience, least_gain=least_gain) == end


def test_the_best_is_the_lowest_however_small_the_gain_and_the_first_of_equals() -> None:
    rule = Stopping(patience=2, least_gain=0.5, idle_steps=0)

    best = rule.best(evals([3.0, 2.9, 2.9, 3.1]))

    assert best is not None
    assert best.step == 20
    assert rule.best([]) is None


def test_what_is_measured_before_any_weight_has_changed_does_not_count() -> None:
    # The base itself is the best here; it is no adapter, and does not use up patience.
    assert ends_after([1.0, 3.0, 2.0, 2.5], patience=1, idle_steps=10) == 4
    best = Stopping(patience=1, least_gain=0, idle_steps=10).best(evals([1.0, 3.0, 2.0, 2.5]))
    assert best is not None
    assert best.loss == 2.0


@given(st.lists(st.sampled_from([1.0, 1.5, 2.0, 2.5, 3.0])), st.integers(1, 4))
def test_without_a_least_gain_it_ends_so_many_after_the_best(losses: list[float], patience: int) -> None:
    rule = Stopping(patience=patience, least_gain=0.0, idle_steps=0)
    end = ends_after(losses, patience=patience)

    if end is not None:
        best = rule.best(evals(losses)[:end])
        assert best is not None
        assert best.index == end - patience
    else:
        assert all(min(losses[:n]) > losses[n] for n in range(patience, len(losses), patience)) or patience > 1


@pytest.mark.parametrize(
    ("share", "schedule", "idle"),
    [(0.1, Schedule.linear, 1), (0.0, Schedule.linear, 0), (0.1, Schedule.constant, 0), (0.5, Schedule.cosine, 1)],
)
def test_the_first_step_of_a_warm_up_changes_nothing(share: float, schedule: Schedule, idle: int) -> None:
    wanted = EarlyStoppingConfig(patience=3, least_gain=0.1)

    rule = stopping_of(TrainConfig(warmup_share=share, schedule=schedule, early_stopping=wanted))

    assert rule == Stopping(patience=3, least_gain=0.1, idle_steps=idle)
    assert stopping_of(TrainConfig()) is None
