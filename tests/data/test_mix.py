"""General rows among the task's: how many, which, and in what order."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.data.mix import mix_in
from tune.errors import DataError
from tune.examples import Example, Message


def rows_of(name: str, n: int) -> list[Example]:
    return [
        Example(id=f"{name}/{i}", messages=(Message(role="user", content=f"{name} {i}"),), answer=f"{i}")
        for i in range(n)
    ]


TASK, GENERAL = rows_of("task", 80), rows_of("general", 400)


def ids(rows: list[Example], *, mixed: bool) -> list[str]:
    return [row.id for row in rows if row.id.startswith("mix/") == mixed]


@pytest.mark.parametrize(
    ("share", "n_train", "n_task", "n_general"),
    [
        (0.2, None, 80, 20),  # 20 of 100
        (0.5, None, 80, 80),
        (1.0, None, 0, 80),
        (0.0, None, 80, 0),
        (0.2, 50, 40, 10),
        (1.0, 50, 0, 50),
        (0.0, 50, 50, 0),
        (0.25, 200, 60, 20),  # there are 80: as many as at a share of 0
    ],
)
def test_the_share_is_of_the_result(share: float, n_train: int | None, n_task: int, n_general: int) -> None:
    mixed = mix_in(TASK, GENERAL, share=share, n_train=n_train, seed=0)

    assert mixed.n_mixed == n_general
    assert len(ids(mixed.rows, mixed=True)) == n_general
    assert ids(mixed.rows, mixed=False) == [row.id for row in TASK[:n_task]]


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 80), st.integers(0, 99))
def test_with_n_train_every_share_costs_the_same_and_shares_are_nested(
    one: float, other: float, n_train: int, seed: int
) -> None:
    smaller, larger = (
        mix_in(TASK, GENERAL, share=share, n_train=n_train, seed=seed).rows for share in sorted((one, other))
    )

    assert len(smaller) == len(larger) == n_train
    assert set(ids(smaller, mixed=True)) <= set(ids(larger, mixed=True))
    assert set(ids(larger, mixed=False)) <= set(ids(smaller, mixed=False))


def test_without_n_train_shares_are_nested_too() -> None:
    mixes = [
        set(ids(mix_in(TASK, GENERAL, share=s, n_train=None, seed=0).rows, mixed=True)) for s in (0, 0.1, 0.2, 0.8)
    ]

    assert all(smaller < larger for smaller, larger in pairwise(mixes))


def test_which_general_rows_are_drawn_does_not_depend_on_their_order() -> None:
    one = mix_in(TASK, GENERAL, share=0.3, n_train=None, seed=0)
    two = mix_in(TASK, GENERAL[::-1], share=0.3, n_train=None, seed=0)

    assert one == two
    assert one != mix_in(TASK, GENERAL, share=0.3, n_train=None, seed=1)


def test_general_rows_are_spread_among_the_others() -> None:
    rows = mix_in(TASK, GENERAL, share=0.5, n_train=None, seed=0).rows

    for half in (rows[:80], rows[80:]):
        assert 25 <= len(ids(half, mixed=True)) <= 55


def test_the_note_says_what_was_mixed_and_what_gave_way() -> None:
    assert mix_in(TASK, GENERAL, share=0.2, n_train=None, seed=0).note == (
        "data.mix.share=0.2: 20 of 100 training rows are general rows of data.mix.path."
    )
    assert mix_in(TASK, GENERAL, share=0.2, n_train=80, seed=0).note == (
        "data.mix.share=0.2: 16 of 80 training rows are general rows of data.mix.path. "
        "16 rows of the task are not trained on."
    )
    assert mix_in(TASK, [], share=0, n_train=None, seed=0).note is None


def test_too_few_general_rows_are_an_error_with_both_numbers() -> None:
    with pytest.raises(DataError) as error:
        mix_in(TASK, GENERAL[:79], share=0.5, n_train=None, seed=0)

    assert "data.mix.share=0.5 takes 80 general rows beside 80 of the task, and data.mix.path has 79" in str(
        error.value
    )
    assert "set data.n_train" in str(error.value)
