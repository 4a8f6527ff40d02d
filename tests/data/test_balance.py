"""Classes are evened out: what a cap leaves out is counted, what is repeated has an id of its own."""

import dataclasses
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.config.data import Balance, BalanceConfig
from tune.data.balance import Balanced, balance_rows
from tune.errors import DataError
from tune.examples import Example, Message

CAP = BalanceConfig(how=Balance.cap, cap=3)
RESAMPLE = BalanceConfig(how=Balance.resample)


def of_sizes(*sizes: int) -> list[Example]:
    return [
        Example(
            id=f"{name}/{i}",
            messages=(Message(role="user", content=f"question {i}"),),
            answer=f"answer of {name}",
            label=f"class {name}",
        )
        for name, size in enumerate(sizes)
        for i in range(size)
    ]


def balance(rows: list[Example], config: BalanceConfig, *, seed: int = 0) -> Balanced:
    return balance_rows(rows, config, class_of=lambda row: row.label, seed=seed)


def sizes_of(rows: list[Example]) -> list[int]:
    return sorted(Counter(row.label for row in rows).values())


def test_nothing_changes_where_nothing_is_asked_for() -> None:
    rows = of_sizes(5, 1)

    assert balance(rows, BalanceConfig()) == Balanced(rows=rows)


def test_a_cap_leaves_out_what_is_above_it_and_says_so() -> None:
    rows = of_sizes(5, 2, 4)

    balanced = balance(rows, CAP)

    assert sizes_of(balanced.rows) == [2, 3, 3]
    assert balanced.rows == [row for row in rows if row in balanced.rows]
    assert balanced.taken is not None
    assert (balanced.taken.count, balanced.taken.setting) == (3, "data.balance.cap")
    whys = {case.id.split("/")[0]: case.why for case in balanced.taken.cases}
    assert whys == {"0": "class 'class 0' has 5 rows", "2": "class 'class 2' has 4 rows"}
    assert balanced.note == "data.balance.cap=3 left 3 of 11 training rows out: 2 of 3 classes had more."


def test_a_cap_that_no_class_reaches_changes_nothing() -> None:
    rows = of_sizes(3, 2)

    assert balance(rows, CAP) == Balanced(rows=rows)


def test_a_larger_cap_keeps_what_a_smaller_one_keeps() -> None:
    rows = of_sizes(9)

    few = balance(rows, CAP).rows
    more = balance(rows, BalanceConfig(how=Balance.cap, cap=6)).rows

    assert set(map(id, few)) < set(map(id, more))


def test_which_rows_a_cap_keeps_depends_on_seed_and_content_and_not_on_the_order() -> None:
    rows = of_sizes(9)

    kept = {row.id for row in balance(rows, CAP).rows}

    assert kept == {row.id for row in balance(rows[::-1], CAP).rows}
    assert any(kept != {row.id for row in balance(rows, CAP, seed=seed).rows} for seed in (1, 2, 3))


def test_which_of_several_equal_rows_a_cap_keeps_does_not_depend_on_the_order_either() -> None:
    twins = [dataclasses.replace(of_sizes(1)[0], id=f"twin/{i}") for i in range(9)]

    assert balance(twins, CAP).rows == balance(twins[::-1], CAP).rows[::-1]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(0, 99), st.randoms(use_true_random=False))
def test_resampled_classes_are_of_one_size_and_each_row_stands_k_or_k_plus_one_times(
    sizes: list[int], seed: int, chance: random.Random
) -> None:
    rows = of_sizes(*sizes)

    balanced = balance(rows, RESAMPLE, seed=seed)
    other = balance(chance.sample(rows, len(rows)), RESAMPLE, seed=seed)

    assert sizes_of(balanced.rows) == [max(sizes)] * len(sizes)
    assert len({row.id for row in balanced.rows}) == len(balanced.rows)
    times = Counter(row.id.split("#")[0] for row in balanced.rows)
    for row in rows:
        size = sizes[int(row.id.split("/")[0])]
        assert times[row.id] in {max(sizes) // size, -(-max(sizes) // size)}
    assert other.rows == balanced.rows


def test_a_row_that_is_repeated_has_a_numbered_id_and_the_note_counts_repeats() -> None:
    balanced = balance(of_sizes(3, 1), RESAMPLE)

    assert {row.id for row in balanced.rows if row.id.startswith("1/")} == {"1/0", "1/0#2", "1/0#3"}
    assert balanced.note is not None
    assert "made 2 classes of 1 to 3 training rows 3 each: 2 of 6 rows are repeats" in balanced.note


def test_the_beginning_of_resampled_rows_is_about_balanced_too() -> None:
    first = balance(of_sizes(200, 10), RESAMPLE).rows[:100]

    assert 35 <= sizes_of(first)[0] <= 50


def test_equal_classes_are_resampled_without_a_word() -> None:
    assert balance(of_sizes(2, 2), RESAMPLE).note is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (RESAMPLE, "1/0 has none in data.columns.label"),
        (BalanceConfig(how=Balance.resample, column="mood"), "1/0 has none in data.balance.column=mood"),
        (BalanceConfig(how=Balance.cap), "data.balance.how=cap needs data.balance.cap"),
    ],
)
def test_what_cannot_be_balanced_is_told_with_row_and_way_out(config: BalanceConfig, words: str) -> None:
    rows = [*of_sizes(3), Example(id="1/0", messages=(Message(role="user", content="?"),), answer="!")]

    with pytest.raises(DataError) as error:
        balance(rows, config)

    assert words in str(error.value)
