"""Splits: who goes where, who stays together, who stays put when rows are appended, and what cannot be divided."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.data.split import Parts, split_rows
from tune.errors import DataError
from tune.examples import Example, Message

SEEDS = st.integers(0, 10_000)


def row(name: object, *, label: str | None = None, group: str | None = None) -> Example:
    return Example(
        id=f"rows.jsonl/{name}",
        messages=(Message(role="user", content=f"question {name}"),),
        answer=f"answer {name}",
        label=label,
        group=group,
    )


def plain(n: int, start: int = 0) -> list[Example]:
    return [row(i) for i in range(start, start + n)]


def split(
    rows: Sequence[Example],
    *,
    validation: float | None = 0.2,
    test: float | None = 0.2,
    seed: int = 0,
    clusters: Sequence[int] | None = None,
) -> Parts:
    return split_rows(rows, clusters or range(len(rows)), validation=validation, test=test, seed=seed)


def places(rows: Sequence[Example], parts: Parts) -> dict[str, str]:
    names = ("train", "validation", "test")
    found = [(rows[i].answer, name) for name in names for i in getattr(parts, name)]
    return dict(found)


def moved(before: dict[str, str], after: dict[str, str]) -> int:
    return sum(after[answer] != place for answer, place in before.items())


@st.composite
def tied_rows(draw: st.DrawFn) -> tuple[list[Example], list[int]]:
    n = draw(st.integers(20, 50))
    groups = draw(st.lists(st.sampled_from([None, None, None, *"abcdefghijklmnop"]), min_size=n, max_size=n))
    clusters = draw(st.lists(st.one_of(st.none(), st.integers(1_000, 1_040)), min_size=n, max_size=n))
    named = draw(st.lists(st.integers(0, 200), min_size=n, max_size=n))
    rows = [row(name, group=group) for name, group in zip(named, groups, strict=True)]
    return rows, [index if cluster is None else cluster for index, cluster in enumerate(clusters)]


@given(tied_rows(), SEEDS, st.sampled_from([None, 0.1, 0.3, 3, 11]), st.sampled_from([None, 0, 0.2, 5]))
def test_every_row_stands_in_exactly_one_split_and_ties_never_straddle(
    tied: tuple[list[Example], list[int]], seed: int, validation: float | None, test: float | None
) -> None:
    rows, clusters = tied
    try:
        parts = split(rows, clusters=clusters, validation=validation, test=test, seed=seed)
    except DataError as error:
        told = str(error)
        assert "stay together" in told or "rows of a group together" in told
        return

    assert sorted([*parts.train, *parts.validation, *parts.test]) == list(range(len(rows)))
    assert parts.train
    assert parts.validation
    assert bool(parts.test) == (test != 0)
    place = {i: name for name in ("train", "validation", "test") for i in getattr(parts, name)}
    for tie in (lambda i: rows[i].group, lambda i: clusters[i], lambda i: rows[i].answer):
        of_tie: dict[object, set[str]] = {}
        for i in range(len(rows)):
            if tie(i) is not None:
                of_tie.setdefault(tie(i), set()).add(place[i])
        assert all(len(found) == 1 for found in of_tie.values())


@given(tied_rows(), st.booleans(), SEEDS, st.sampled_from([0.1, 7]), st.randoms(use_true_random=False))
def test_the_splits_do_not_depend_on_the_order_of_the_rows(
    tied: tuple[list[Example], list[int]], labelled: bool, seed: int, validation: float, chance: random.Random
) -> None:
    rows, clusters = tied
    if labelled:
        rows = [row(one.answer, label="yes" if "1" in one.answer else "no") for one in rows]
        clusters = list(range(len(rows)))
    order = chance.sample(range(len(rows)), len(rows))

    def divided(order: Sequence[int]) -> list[list[str]] | str:
        try:
            parts = split(
                [rows[i] for i in order], clusters=[clusters[i] for i in order], validation=validation, seed=seed
            )
        except DataError as error:
            return str(error)
        found = (parts.train, parts.validation, parts.test)
        return [*([rows[order[i]].answer for i in part] for part in found), list(parts.notes)]

    assert divided(order) == divided(range(len(rows)))


def test_another_seed_draws_other_splits() -> None:
    rows = plain(200)

    assert moved(places(rows, split(rows, seed=1)), places(rows, split(rows, seed=2))) > 50


def test_ids_and_lines_do_not_count() -> None:
    rows = plain(50)
    renamed = [Example(id=f"z/{i}", messages=one.messages, answer=one.answer) for i, one in enumerate(rows)]

    assert split(rows) == split(renamed)


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


@given(st.lists(st.integers(3, 60), min_size=1, max_size=6), st.floats(0.05, 0.4), st.floats(0.05, 0.4), SEEDS)
def test_each_label_has_its_share_within_one_row_and_at_least_one_in_every_split(
    sizes: list[int], validation: float, test: float, seed: int
) -> None:
    rows = [row(f"{label} {i}", label=f"label {label}") for label, size in enumerate(sizes) for i in range(size)]
    asked = {"validation": validation, "test": test}
    if sum(max(1, share * len(rows)) for share in asked.values()) > len(rows) - 1:
        return

    parts = split(rows, validation=validation, test=test, seed=seed)

    assert {rows[i].label for i in parts.train} == {one.label for one in rows}
    for name, share in asked.items():
        held = Counter(rows[i].label for i in getattr(parts, name))
        for label, size in enumerate(sizes):
            assert held[f"label {label}"] >= 1
            assert share * size - 1 - 1e-6 <= held[f"label {label}"] <= max(1, share * size + 1 + 1e-6)


@given(st.lists(st.integers(4, 60), min_size=1, max_size=6), st.integers(6, 9), SEEDS)
def test_a_number_is_shared_among_the_labels_within_one_row(sizes: list[int], count: int, seed: int) -> None:
    rows = [row(f"{label} {i}", label=f"label {label}") for label, size in enumerate(sizes) for i in range(size)]
    n_rows, n_labels = len(rows), len(sizes)
    if 2 * count > n_rows - n_labels:
        return

    parts = split(rows, validation=count, test=count, seed=seed)

    assert len(parts.validation) == len(parts.test) == count
    held = Counter(rows[i].label for i in parts.validation)
    for label, size in enumerate(sizes):
        assert held[f"label {label}"] >= 1
        assert held[f"label {label}"] <= count * size / n_rows + 1


def test_ten_rows_of_thirty_twenty_and_fifty_by_hand() -> None:
    # quotas 10 * 30/100, 10 * 20/100, 10 * 50/100
    rows = [row(i, label="a" if i < 30 else "b" if i < 50 else "c") for i in range(100)]

    parts = split(rows, validation=10, test=0)

    assert Counter(rows[i].label for i in parts.validation) == {"a": 3, "b": 2, "c": 5}


@pytest.mark.parametrize(("n", "share"), [(1_000, 0.2), (1_001, 0.1), (10_000, 0.1), (10_001, 0.05)])
def test_the_rule_takes_a_smaller_share_of_more_rows(n: int, share: float) -> None:
    rows = plain(n)

    parts = split(rows, validation=None, test=None)

    # five standard deviations of a draw of n with this chance
    allowed = 5 * (n * share * (1 - share)) ** 0.5
    assert abs(len(parts.validation) - share * n) < allowed
    assert abs(len(parts.test) - share * n) < allowed
    assert not parts.notes


def test_a_share_that_shrinks_moves_rows_to_training_only() -> None:
    rows = plain(12_000)
    steps = [places(rows[:n], split(rows[:n], validation=None, test=None)) for n in (900, 1_000, 1_001, 10_001, 12_000)]

    for before, after in pairwise(steps):
        changes = {(place, after[answer]) for answer, place in before.items() if after[answer] != place}
        assert changes <= {("validation", "train"), ("test", "train")}


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


@given(st.integers(7, 15), SEEDS)
def test_something_is_left_to_train_on_however_large_the_shares(n: int, seed: int) -> None:
    parts = split(plain(n), validation=0.2, test=0.6, seed=seed)

    assert min(len(parts.train), len(parts.validation), len(parts.test)) >= 1


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


def test_groups_of_several_labels_are_drawn_together() -> None:
    rows = [row(i, label="yes" if i % 5 < 3 else "no", group=f"customer {i // 5}") for i in range(100)]

    parts = split(rows, validation=0.2, test=0.2)

    assert 15 <= len(parts.validation) <= 25
    assert {rows[i].label for i in parts.validation} == {"yes", "no"}


def test_no_split_is_held_out_that_is_not_asked_for() -> None:
    parts = split(plain(5), validation=0, test=0)

    assert (sorted(parts.train), parts.validation, parts.test) == ([0, 1, 2, 3, 4], [], [])


def test_rows_of_which_some_have_no_label_are_split_without_labels_and_this_is_said() -> None:
    rows = [row(i, label="yes" if i else None) for i in range(50)]

    parts = split(rows)

    assert parts.notes[0] == "1 of 50 rows have no data.columns.label, so the splits are drawn without it."


def test_half_of_a_surrogate_pair_does_not_stop_the_draw() -> None:
    rows = [*plain(20), row("\ud83d"), row("\ude00")]

    assert len(split(rows).train) > 0


def labelled(**sizes: int) -> list[Example]:
    return [row(f"{label} {i}", label=label) for label, size in sizes.items() for i in range(size)]


@pytest.mark.parametrize(
    ("rows", "validation", "test", "words"),
    [
        (plain(600), 500, 200, "data.validation=500 and data.test=200 leave nothing to train on: there are 600 rows"),
        (plain(10), 10, 0, "data.validation=10 leave nothing to train on: there are 10 rows"),
        (plain(10), 0.6, 0.5, "data.validation=0.6 and data.test=0.5 leave nothing to train on"),
        (plain(2), None, None, "data.validation=null and data.test=null leave nothing to train on: there are 2 rows"),
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
