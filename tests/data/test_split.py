"""Splits: who goes where, and in what sizes."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.named_rows import SEEDS, moved, places, plain, row, split
from tune.errors import DataError
from tune.examples import Example


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


@given(st.integers(7, 15), SEEDS)
def test_something_is_left_to_train_on_however_large_the_shares(n: int, seed: int) -> None:
    parts = split(plain(n), validation=0.2, test=0.6, seed=seed)

    assert min(len(parts.train), len(parts.validation), len(parts.test)) >= 1


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
