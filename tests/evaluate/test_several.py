"""Trials against each other: Holm against statsmodels, and what is told of two."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from tune.errors import EvaluationError
from tune.evaluate.several import Candidate, holm, tell_apart
from tune.evaluate.span import MINUS

levels = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def candidate(name: str, scores, *, cost: float) -> Candidate:
    values = np.asarray(scores, dtype=float)
    return Candidate(name=name, scores=values, cost=cost, ids=tuple(str(i) for i in range(values.size)))


def right(n_right: int, *, of: int) -> np.ndarray:
    return (np.arange(of) < n_right).astype(float)


@given(levels)
@settings(max_examples=25, deadline=None)  # statsmodels takes 60 ms each
def test_holm_is_the_one_of_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.04 times 3, 2, 1: 0.03, 0.04, 0.04
    assert holm([0.02, 0.04, 0.01]) == pytest.approx((0.04, 0.04, 0.03))
    assert holm([]) == ()


@given(levels, st.randoms())
def test_holm_keeps_the_order_and_takes_any(p: list[float], random) -> None:
    order = list(range(len(p)))
    random.shuffle(order)

    adjusted = holm(p)

    assert holm([p[i] for i in order]) == pytest.approx([adjusted[i] for i in order])
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert all(a <= min(1, len(p) * b) + 1e-12 for a, b in zip(adjusted, p, strict=True))


@pytest.mark.parametrize("p", [[0.1, float("nan")], [1.2], [-0.1]])
def test_holm_refuses_what_is_no_probability(p: list[float]) -> None:
    with pytest.raises(EvaluationError, match="each must lie between 0 and 1"):
        holm(p)


def test_two_that_cannot_be_told_apart_give_the_cheaper() -> None:
    # one right answer gained in four: the score interval is worked out in test_binary.py
    told = tell_apart(candidate("r=32", right(3, of=4), cost=32), candidate("r=8", right(2, of=4), cost=8))

    assert told.take == "r=8"
    assert told.words == f"r=32 against r=8: +25.0 points [{MINUS}36.2, 69.9], not distinguishable; take r=8"
    assert told.delta.p == 1.0


def test_the_better_is_taken_whatever_it_costs() -> None:
    told = tell_apart(candidate("r=32", right(80, of=100), cost=32), candidate("r=8", right(60, of=100), cost=8))
    back = tell_apart(candidate("r=8", right(60, of=100), cost=8), candidate("r=32", right(80, of=100), cost=32))

    assert told.take == back.take == "r=32"
    assert told.words.startswith("r=32 against r=8: +20.0 points [")
    assert told.words.endswith("], better; take r=32")
    assert back.words.endswith("], worse; take r=32")


def test_of_the_same_cost_either_may_be_taken() -> None:
    told = tell_apart(candidate("seed 0", right(60, of=100), cost=8), candidate("seed 1", right(61, of=100), cost=8))

    assert told.take == "seed 1"
    assert "not distinguishable and of the same cost; take either, say seed 1" in told.words


def test_other_units_are_not_called_points() -> None:
    one, two = (candidate(name, values, cost=1) for name, values in (("a", [0.1, 0.2, 0.6]), ("b", [0.3, 0.1, 0.4])))

    assert "points" not in tell_apart(one, two, scale=1).words


def test_scores_of_other_examples_are_refused() -> None:
    one, two = candidate("r=8", right(2, of=4), cost=8), candidate("r=32", right(2, of=4), cost=32)

    with pytest.raises(EvaluationError, match="r=8 was scored on 4 examples and r=32 on 4, of which 3 are the same"):
        tell_apart(one, replace(two, ids=("0", "1", "2", "9")))
    with pytest.raises(EvaluationError, match=r"not measured alike \(fingerprints abc and xyz\)"):
        tell_apart(replace(one, fingerprint="abc"), replace(two, fingerprint="xyz"))
    with pytest.raises(EvaluationError, match="1 of 4 scores of r=32 are NaN or infinite"):
        tell_apart(one, replace(two, scores=np.array([0, 1, np.nan, 1])))
