"""When the validation loss is measured in a training: by hand, and as what must hold of any length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.train.evals import eval_steps


@pytest.mark.parametrize(
    ("total", "evals", "steps"),
    [
        (100, 4, {20: 1, 40: 2, 60: 3, 80: 4}),
        (10, 1, {5: 1}),
        (11, 2, {4: 1, 8: 2}),  # a third of 11 is 3.67, two thirds are 7.33
        (3, 2, {1: 1, 2: 2}),
        (3, 4, {1: 1, 2: 3}),  # a third of the way is after 1 of 5 parts, two thirds after 3 of 5
        (1, 3, {}),
        (50, 0, {}),
    ],
)
def test_measurements_by_hand(total: int, evals: int, steps: dict[int, int]) -> None:
    assert eval_steps(total, evals) == steps


@given(total=st.integers(1, 500), evals=st.integers(0, 40))
def test_an_index_is_the_same_share_of_every_training(total: int, evals: int) -> None:
    due = eval_steps(total, evals)

    assert list(due) == sorted(due)
    assert list(due.values()) == sorted(set(due.values()))
    assert all(0 < step < total and 1 <= index <= evals for step, index in due.items())
    # The first step that is so far into the training, and no earlier one.
    assert all(step / total >= index / (evals + 1) > (step - 1) / total for step, index in due.items())
    assert len(due) == min(evals, total - 1)
