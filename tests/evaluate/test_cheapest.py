"""Which rank do I need: the cheapest that is not shown to be worse than the best."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from tune.errors import EvaluationError
from tune.evaluate.cheapest import cheapest_not_worse
from tune.evaluate.several import Candidate, holm
from tune.evaluate.span import MINUS


def rank(r: int, n_right: int, *, of: int = 200) -> Candidate:
    scores = (np.arange(of) < n_right).astype(float)
    return Candidate(name=f"r={r}", scores=scores, cost=r, ids=tuple(str(i) for i in range(of)))


def test_the_smallest_rank_that_keeps_up_is_taken() -> None:
    choice = cheapest_not_worse([rank(32, 150), rank(2, 100), rank(8, 148), rank(4, 120)])

    assert (choice.take, choice.best) == ("r=8", "r=32")
    assert [one.name for one in choice.against] == ["r=2", "r=4", "r=8"]
    assert [one.worse for one in choice.against] == [True, True, False]
    # gained 0, lost 50, 30 and 2: two-sided binomial 2 / 2^50, 2 / 2^30, 2 / 2^2, then Holm
    assert [one.p for one in choice.against] == pytest.approx(holm([2 / 2**50, 2 / 2**30, 0.5]))
    assert choice.words.startswith(
        f"Take r=8: the cheapest not significantly worse than the best, r=32 ({MINUS}1.0 points ["
    )
    assert f"Worse than the best: r=2 {MINUS}25.0 points [" in choice.words
    assert "(corrected over 3 comparisons)" in choice.words


def test_two_of_one_name_are_still_two() -> None:
    worse, best = (dataclasses.replace(rank(r, n_right), name="rate=0.0002") for r, n_right in ((2, 100), (8, 150)))

    choice = cheapest_not_worse([worse, best])

    assert choice.take == choice.best == "rate=0.0002"
    assert choice.words.startswith("Take rate=0.0002: it has the highest mean, and no cheaper one comes up to it.")


def test_a_difference_that_one_comparison_would_show_is_not_enough_of_three() -> None:
    # lost 7, gained 0: p = 2 / 2^7 = 0.0156, times 3 is 0.047 and enough; lost 6: 0.03125, times 2 is 0.0625
    enough = cheapest_not_worse([rank(2, 93), rank(4, 100), rank(8, 100), rank(16, 100)])
    too_few = cheapest_not_worse([rank(2, 94), rank(4, 100), rank(8, 100), rank(16, 100)])

    assert (enough.best, enough.take) == ("r=4", "r=4")
    assert too_few.take == "r=2"
    assert "Nothing cheaper was tried." in too_few.words


def test_few_examples_say_what_they_can_show() -> None:
    choice = cheapest_not_worse([rank(8, 30, of=64), rank(32, 30, of=64)])

    # nothing changed: one comparison, the half width z^2 / (64 + z^2) = 5.7 points
    z = stats.norm.ppf(0.975)
    assert choice.resolution == pytest.approx(z**2 / (64 + z**2))
    assert choice.words.endswith("64 examples can show differences of about ±5.7 points only, no smaller ones.")


def test_more_comparisons_show_less() -> None:
    two = cheapest_not_worse([rank(8, 100), rank(32, 110)])
    four = cheapest_not_worse([rank(8, 100), rank(32, 110), rank(16, 105), rank(64, 108)])

    # the widest interval is the same; 1 - 0.05 / 2 against 1 - 0.05 / 6
    assert four.resolution / two.resolution == pytest.approx(stats.norm.ppf(1 - 0.05 / 6) / stats.norm.ppf(0.975))


def test_the_best_is_taken_where_nothing_cheaper_comes_up_to_it() -> None:
    choice = cheapest_not_worse([rank(2, 100), rank(8, 150), rank(32, 149)])

    assert choice.take == choice.best == "r=8"
    assert choice.words.startswith("Take r=8: it has the highest mean, and no cheaper one comes up to it.")


def test_of_equals_the_cheapest_is_the_best() -> None:
    assert cheapest_not_worse([rank(32, 100), rank(4, 100), rank(8, 100)]).best == "r=4"


def test_one_is_taken_and_none_refused() -> None:
    one = cheapest_not_worse([rank(8, 100)])

    assert one.take == "r=8"
    assert one.words == "Take r=8: it is the only one, so nothing was compared. Nothing cheaper was tried."
    with pytest.raises(EvaluationError, match="no trial can be chosen from none"):
        cheapest_not_worse([])


def test_equal_ranks_are_called_different_in_at_most_five_of_a_hundred_studies() -> None:
    # 5 ranks, all of them right on 60 of 100 examples by chance; 400 studies: 5 % is 20, and 3 standard errors 13 more
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        hard = rng.random(100)  # how hard an example is, for all ranks
        ranks = [
            Candidate(
                name=f"r={r}",
                scores=(0.7 * hard + 0.3 * rng.random(100) < 0.55).astype(float),
                cost=r,
                ids=tuple(map(str, range(100))),
            )
            for r in (1, 2, 4, 8, 16)
        ]
        wrong += cheapest_not_worse(ranks).take != "r=1"

    assert wrong <= 33
