"""The Pareto front and the layers below it: worked by hand, and what must hold of any results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.track.dominance import beaten_by, layers

FEW = st.integers(0, 3)
"""So few that ties are common."""

RESULTS = st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[FEW] * n), min_size=1, max_size=12))


def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one != other and all(max(pair) == pair[0] for pair in zip(one, other, strict=True))


def test_layers_by_hand() -> None:
    #  5 | a
    #  3 |     b           nothing is right of and above a, b, c; b is of d, and b and d are of e
    #  2 |   d             (a is of e too)
    #  1 | e       c
    #    +-1-2-3---5
    a, b, c, d, e = (1, 5), (3, 3), (5, 1), (2, 2), (1, 1)

    assert layers([a, b, c, d, e]) == [0, 0, 0, 1, 2]
    assert beaten_by([a, b, c, d, e]) == [None, None, None, 1, 0]
    assert beaten_by([e, d, c, b, a]) == [2, 3, None, None, None]


def test_of_two_that_are_alike_neither_beats_the_other() -> None:
    assert layers([(1, 2), (1, 2), (1, 1)]) == [0, 0, 1]


@pytest.mark.parametrize(
    ("seeds", "expected"), [([1, 3, 1], [0, 0, 1]), ([3, 3, 3], [0, 1, 1]), ([1, 3, 3], [0, 0, 0])]
)
def test_one_lucky_seed_beats_no_mean_over_three(seeds: list[int], expected: list[int]) -> None:
    # (9, 9) is above both others. (5, 6) and (6, 5) do not beat each other.
    assert layers([(9, 9), (5, 6), (6, 5)], seeds) == expected


@given(RESULTS)
def test_nothing_on_the_front_is_beaten_and_all_else_is_by_something_on_it(results: list[tuple[int, ...]]) -> None:
    depths, better = layers(results), beaten_by(results)

    front = [one for one, depth in zip(results, depths, strict=True) if depth == 0]
    for one, depth, by in zip(results, depths, better, strict=True):
        assert (depth == 0) == (not any(beats(other, one) for other in results))
        assert (by is None) == (depth == 0)
        assert by is None or (results[by] in front and beats(results[by], one))
        above = [deeper for other, deeper in zip(results, depths, strict=True) if beats(other, one)]
        assert depth == max(above, default=-1) + 1


@given(RESULTS, st.randoms())
def test_the_order_of_the_trials_does_not_matter(results: list[tuple[int, ...]], random) -> None:
    places = list(range(len(results)))
    random.shuffle(places)

    assert layers([results[at] for at in places]) == [layers(results)[at] for at in places]
