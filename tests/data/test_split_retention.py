"""Splits of a data set that grows: who stays put, and how many may move."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.data.named_rows import SEEDS, moved, places, plain, row, split


@given(st.integers(100, 160), st.integers(1, 60), SEEDS)  # so many that no split is ever empty by chance
def test_a_share_moves_nobody_when_rows_are_appended(n: int, n_new: int, seed: int) -> None:
    rows = plain(n)
    grown = [*rows, *plain(n_new, start=n)]

    before, after = places(rows, split(rows, seed=seed)), places(grown, split(grown, seed=seed))

    assert moved(before, after) == 0


@given(st.integers(1, 40), SEEDS)
def test_a_group_stays_where_it_is_however_many_rows_it_gains(n_new: int, seed: int) -> None:
    rows = [row(i, group=f"customer {i % 100}") for i in range(200)]
    grown = [*rows, *(row(200 + i, group=f"customer {i * 7 % 110}") for i in range(n_new))]

    before, after = places(rows, split(rows, seed=seed)), places(grown, split(grown, seed=seed))

    assert moved(before, after) == 0


@given(st.integers(3, 60), st.integers(1, 30), SEEDS)
def test_an_appended_row_moves_at_most_one_row_of_each_small_split(n: int, n_new: int, seed: int) -> None:
    # so few rows that a split may be empty but for the one nearest to its end
    rows = plain(n)
    grown = [*rows, *plain(n_new, start=n)]

    before, after = places(rows, split(rows, seed=seed)), places(grown, split(grown, seed=seed))

    for name in ("validation", "test"):
        assert sum((place == name) != (after[answer] == name) for answer, place in before.items()) <= n_new


@given(st.integers(31, 90), st.integers(1, 30), st.sampled_from([0, 10]), SEEDS)
def test_a_number_is_held_to_exactly_and_an_appended_row_moves_at_most_one(
    n: int, n_new: int, test: int, seed: int
) -> None:
    rows = plain(n)
    grown = [*rows, *plain(n_new, start=n)]

    before = split(rows, validation=20, test=test, seed=seed)
    after = split(grown, validation=20, test=test, seed=seed)

    assert (len(before.validation), len(before.test)) == (len(after.validation), len(after.test)) == (20, test)
    assert moved(places(rows, before), places(grown, after)) <= n_new


@given(st.integers(3, 40), st.integers(3, 40), st.integers(1, 20), SEEDS)
def test_with_labels_only_the_label_that_grows_moves_and_at_most_one_in_each_split_for_a_row(
    n_yes: int, n_no: int, n_new: int, seed: int
) -> None:
    rows = [row(i, label="yes" if i < n_yes else "no") for i in range(n_yes + n_no)]
    grown = [*rows, *(row(f"new {i}", label="yes") for i in range(n_new))]

    before, after = places(rows, split(rows, seed=seed)), places(grown, split(grown, seed=seed))

    nos = {one.answer for one in rows if one.label == "no"}
    assert all(after[answer] == before[answer] for answer in nos)
    for name in ("validation", "test"):
        assert sum((place == name) != (after[answer] == name) for answer, place in before.items()) <= n_new


def test_a_share_that_shrinks_moves_rows_to_training_only() -> None:
    rows = plain(12_000)
    steps = [places(rows[:n], split(rows[:n], validation=None, test=None)) for n in (900, 1_000, 1_001, 10_001, 12_000)]

    for before, after in pairwise(steps):
        changes = {(place, after[answer]) for answer, place in before.items() if after[answer] != place}
        assert changes <= {("validation", "train"), ("test", "train")}


def test_the_first_n_of_each_split_stay_the_first_when_rows_are_appended() -> None:
    rows = plain(300)
    grown = plain(310)

    before, after = split(rows), split(grown)

    for name in ("train", "validation", "test"):
        first = [rows[i].answer for i in getattr(before, name)[:20]]
        second = [grown[i].answer for i in getattr(after, name)[:20]]
        stayed = [answer for answer in second if answer in first]
        assert stayed == first[: len(stayed)]
        assert len(stayed) > 15
