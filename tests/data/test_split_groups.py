"""Splits of rows that stay together: groups, near-duplicates, several labels; and what cannot be divided."""

from collections import Counter

import pytest

from tests.data.named_rows import labelled, plain, row, split
from tune.errors import DataError
from tune.examples import Example


def test_large_clusters_are_held_out_as_often_as_single_rows() -> None:
    # 2,000 rows alone and 200 clusters of ten; of each kind a fifth belongs to validation, give or take 4 deviations
    clusters = [*range(2_000), *(10_000 + i // 10 for i in range(2_000))]
    rows = plain(4_000)

    parts = split(rows, clusters=clusters)

    alone = sum(i < 2_000 for i in parts.validation)
    together = (len(parts.validation) - alone) // 10
    assert abs(alone - 400) < 4 * (2_000 * 0.2 * 0.8) ** 0.5
    assert abs(together - 40) < 4 * (200 * 0.2 * 0.8) ** 0.5


@pytest.mark.parametrize("seed", range(10))
def test_a_group_larger_than_the_split_should_be_is_trained_on(seed: int) -> None:
    rows = [row(i, group="large" if i < 50 else f"small {i}") for i in range(100)]

    for validation in (0.1, 10):
        parts = split(rows, validation=validation, test=0.1, seed=seed)

        assert set(range(50)) <= set(parts.train)


@pytest.mark.parametrize("seed", range(10))
def test_three_equal_groups_make_one_split_each(seed: int) -> None:
    rows = [row(i, group=f"group {i % 3}") for i in range(30)]

    parts = split(rows, validation=0.1, test=0.1, seed=seed)

    assert (len(parts.train), len(parts.validation), len(parts.test)) == (10, 10, 10)
    assert parts.notes[0].startswith("data.validation=0.1 should hold about 3 rows and holds 10")


@pytest.mark.parametrize(("count", "held"), [(9, 8), (10, 12), (11, 12), (1, 4)])
def test_a_number_is_met_within_half_a_group(count: int, held: int) -> None:
    rows = [row(i, group=f"group {i // 4}") for i in range(100)]

    parts = split(rows, validation=count, test=0)

    assert len(parts.validation) == held
    if abs(held - count) > count / 10:
        assert f"data.validation={count} should hold about {count} rows and holds {held}" in parts.notes[0]


def test_groups_of_several_labels_are_drawn_together() -> None:
    rows = [row(i, label="yes" if i % 5 < 3 else "no", group=f"customer {i // 5}") for i in range(100)]

    parts = split(rows, validation=0.2, test=0.2)

    assert 15 <= len(parts.validation) <= 25
    assert {rows[i].label for i in parts.validation} == {"yes", "no"}


@pytest.mark.parametrize(
    ("rows", "validation", "test", "words"),
    [
        (
            plain(600),
            500,
            200,
            "data.validation=500 and data.test=200 leave nothing to train on: after cleaning there are 600 rows",
        ),
        (plain(10), 10, 0, "data.validation=10 leave nothing to train on: after cleaning there are 10 rows"),
        (plain(10), 0.6, 0.5, "data.validation=0.6 and data.test=0.5 leave nothing to train on"),
        (
            plain(2),
            None,
            None,
            "data.validation=null and data.test=null leave nothing to train on: after cleaning there are 2 rows",
        ),
        ([], None, 0, "there are 0 rows"),
        ([row(i, group="one") for i in range(9)], 0.2, 0.2, "data.columns.group keeps rows of a group together"),
        ([row(i, group="one") for i in range(9)], 0.2, 0.2, "makes the 9 rows all one piece"),
        ([row(i, group=f"{i % 2}") for i in range(9)], 0.2, 0.2, "only 2 pieces"),
        ([row("same") for _ in range(9)], 0.2, 0.0, "Raise data.clean.similarity"),
        (labelled(yes=20, lone=1), 0.2, 0.2, "data.columns.label: too few rows of 'lone' (1 row) to stand in training"),
        (labelled(yes=20, two=2), 0.2, 0.2, "'two' (2 rows) to stand in training and data.validation and data.test"),
        (labelled(yes=20, lone=1), 0.2, 0.0, "or leave data.columns.label out"),
        (labelled(a=1, b=1, c=1, d=1, e=1), 0.2, 0.0, "'a' (1 row), 'b' (1 row), 'c' (1 row) and 2 more labels"),
        (labelled(a=9, b=9, c=9), 2, 0.0, "data.validation=2 is too few: data.columns.label makes 3 classes"),
    ],
)
def test_what_cannot_be_divided_is_told_with_key_value_and_way_out(
    rows: list[Example], validation: float | None, test: float | None, words: str
) -> None:
    with pytest.raises(DataError) as error:
        split(rows, validation=validation, test=test)

    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_two_rows_of_a_label_are_enough_where_there_is_no_test() -> None:
    rows = labelled(yes=20, two=2)

    parts = split(rows, validation=0.2, test=0)

    assert Counter(rows[i].label for i in parts.validation)["two"] == 1
    assert Counter(rows[i].label for i in parts.train)["two"] == 1


def test_a_label_whose_rows_are_near_duplicates_of_each_other_cannot_be_divided() -> None:
    rows = labelled(yes=20, alike=5)
    clusters = [*range(20), 99, 99, 99, 99, 99]

    with pytest.raises(DataError, match=r"'alike' \(5 rows in 1\)"):
        split(rows, clusters=clusters)


def test_a_split_that_is_off_by_more_than_half_is_told() -> None:
    # five rows alone and 40 in groups of ten, of which none may be held out: 0.1 of 45 rows is 4.5
    rows = [*plain(5), *(row(100 + i, group=f"{i // 10}") for i in range(40))]

    parts = split(rows, validation=0.1, test=0, seed=3)

    assert len(parts.validation) == 1
    assert parts.notes[0].startswith(
        "data.validation=0.1 should hold about 4 rows and holds 1: rows that stay together"
    )
    assert parts.notes[0].endswith("a number of rows is held to more exactly than a share.")


def test_a_label_that_stands_in_few_groups_of_several_labels_may_be_missing_and_this_is_told() -> None:
    # 30 groups of ten rows of the labels odd and even; three of them begin with a rare one
    rows = [
        row(i, label="rare" if i in {0, 10, 20} else "odd" if i % 2 else "even", group=f"{i // 10}") for i in range(300)
    ]

    parts = split(rows, validation=30, test=0, seed=1)

    assert {rows[i].label for i in parts.validation} == {"odd", "even"}
    assert parts.notes == (
        "1 label is not in data.validation ('rare'): groups and near-duplicates tie rows of several labels together.",
    )


def test_a_label_of_its_own_groups_is_in_every_split_beside_groups_of_several() -> None:
    rows = [
        *(row(i, label="odd" if i % 2 else "even", group=f"{i // 10}") for i in range(300)),
        *(row(f"pure {i}", label="rare", group=f"pure {i}") for i in range(3)),
    ]

    parts = split(rows, validation=0.1, test=0.1)

    assert all("rare" in {rows[i].label for i in part} for part in (parts.train, parts.validation, parts.test))
