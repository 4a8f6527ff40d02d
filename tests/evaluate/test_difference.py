"""One door to paired differences: the method follows from the scores."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune.errors import EvaluationError
from tune.evaluate.binary import binary_delta
from tune.evaluate.bootstrap import paired_bootstrap
from tune.evaluate.difference import score_delta
from tune.evaluate.paired import clustered_delta, paired_delta


def test_right_and_wrong_answers_are_counted() -> None:
    base, tuned = np.array([1, 0, 0, 0, 1, 0.0]), np.array([0, 1, 1, 1, 1, 0.0])

    assert score_delta(base, tuned) == binary_delta(3, 1, 6)


def test_numbers_that_are_not_skewed_have_the_t_interval() -> None:
    base = np.random.default_rng(0).random(40)
    tuned = base + np.linspace(-0.2, 0.3, 40)

    assert score_delta(base, tuned, confidence=0.9) == paired_delta(base, tuned, confidence=0.9)


def test_skewed_numbers_have_the_wider_end_of_t_and_bootstrap() -> None:
    base = np.zeros(50)
    tuned = np.random.default_rng(1).exponential(size=50) - 0.9

    found = score_delta(base, tuned)

    t, drawn = paired_delta(base, tuned), paired_bootstrap(tuned, confidence=0.95)
    assert (found.low, found.high) == (min(t.low, drawn.low), max(t.high, drawn.high))
    assert found.high > t.high  # the long tail is above, and t does not know
    assert found.p == max(t.p, drawn.p)


def test_numbers_in_clusters_have_the_clustered_interval() -> None:
    rng = np.random.default_rng(2)
    base, tuned, clusters = rng.random(12), rng.random(12), list("aaabbbcccddd")

    assert score_delta(base, tuned, clusters=clusters) == clustered_delta(base, tuned, clusters)


def test_clusters_of_one_question_are_no_clusters() -> None:
    base, tuned = np.array([1, 0, 0, 0.0]), np.array([1, 1, 1, 0.0])

    assert score_delta(base, tuned, clusters=list("abcd")) == score_delta(base, tuned)


def test_answers_that_move_by_cluster_count_as_few() -> None:
    # Ten subjects of ten questions; in four of them every answer is gained. 40 of 100 answers look like a lot, but it
    # is four subjects of ten: each question counts for about a tenth (11/100 of 0.2424 against 0.0267 for the mean).
    tuned = np.repeat([1.0, 1, 1, 1, 0, 0, 0, 0, 0, 0], 10)
    clusters = [f"subject {i // 10}" for i in range(100)]

    alone, together = score_delta(np.zeros(100), tuned), score_delta(np.zeros(100), tuned, clusters=clusters)

    # one by one sqrt(0.24 / 99); by subject 0.24 x 10 / 9 / 10
    assert alone.stderr == pytest.approx(np.sqrt(0.24 / 99))
    assert together.stderr == pytest.approx(np.sqrt(0.24 / 9))
    assert together.low < alone.low < together.mean < alone.high < together.high
    assert together.p > 1000 * alone.p
    # worth (0.24 / 99) / (0.24 / 9) = 1/11 each: 40/11 gained of 100/11, so the score at no change is sqrt(40/11)
    assert together.p == pytest.approx(2 * (1 - student(np.sqrt(40 / 11), freedom=9)))


def student(value: float, *, freedom: int) -> float:
    from scipy import stats

    return float(stats.t.cdf(value, freedom))


def test_no_answer_changed_in_any_cluster_is_no_certainty() -> None:
    scores = np.tile([1.0, 0.0], 10)

    found = score_delta(scores, scores, clusters=list("abcde") * 4)

    # as for single answers, z^2 / (n + z^2), with t(0.975, 4) = 2.77645 in the place of z
    assert found.high == pytest.approx(2.77645**2 / (20 + 2.77645**2), abs=1e-5)
    assert (found.low, found.mean, found.p) == (-found.high, 0.0, 1.0)
    assert "none of 20 answers changed" in found.note


def test_clusters_alike_by_accident_do_not_make_certain() -> None:
    # each subject gains half of its answers: nothing differs between them, and the clustered error is zero
    found = score_delta(np.zeros(8), np.array([1, 0, 1, 0, 1, 0, 1, 0.0]), clusters=list("aabbccdd"))

    assert found.stderr == pytest.approx(0)
    assert found.high - found.low > 0.4


@pytest.mark.parametrize(
    ("base", "tuned", "clusters", "words"),
    [
        (np.ones(3), np.ones(4), None, "cannot pair 3 base scores with 4 tuned scores"),
        (np.ones(1), np.ones(1), None, "need the same two or more questions"),
        (np.ones(2), np.array([0.5, np.nan]), None, "1 of 2 tuned scores are NaN or infinite"),
        (np.array([np.nan, 1]), np.ones(2), ["a", "b"], "1 of 2 base scores are NaN or infinite"),
        (np.ones(3), np.zeros(3), ["a"] * 3, r"one cluster \(a\)"),
        (np.ones(3), np.zeros(3), ["a", "b"], "3 scores by 2 cluster names"),
        (np.ones(3), np.zeros(3), ["a", "b", "c", "d"], "3 scores by 4 cluster names"),
    ],
)
def test_what_cannot_be_compared_is_refused(base, tuned, clusters, words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        score_delta(base, tuned, clusters=clusters)


KINDS = {
    "binary": lambda rng, n: (rng.random((2, n)) < [[0.4], [0.6]]).astype(float),
    "share": lambda rng, n: rng.random((2, n)),
    "skewed": lambda rng, n: rng.exponential(size=(2, n)) * [[1], [3]],
    "tied": lambda rng, n: np.round(rng.random((2, n)) * 2) / 2,
}


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2**32), st.integers(2, 40), st.booleans())
@settings(max_examples=80, deadline=None)
def test_swapping_mirrors_and_order_does_not_matter(kind: str, seed: int, n: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    base, tuned = KINDS[kind](rng, n)
    clusters = np.array([f"{i % max(2, n // 4)}" for i in range(n)]) if grouped else None
    order = rng.permutation(n)

    found, swapped = score_delta(base, tuned, clusters=clusters), score_delta(tuned, base, clusters=clusters)
    shuffled = score_delta(base[order], tuned[order], clusters=None if clusters is None else clusters[order])

    assert (-swapped.high, -swapped.mean, -swapped.low) == pytest.approx((found.low, found.mean, found.high))
    assert swapped.p == pytest.approx(found.p)
    assert replace(shuffled, note="") == approximately(found)
    assert found.low <= found.mean <= found.high
    assert 0 <= found.p <= 1


def approximately(delta):
    numbers = ("mean", "stderr", "low", "high", "p")
    return Near({name: pytest.approx(getattr(delta, name), abs=1e-9) for name in numbers})


class Near:
    def __init__(self, numbers: dict) -> None:
        self.numbers = numbers

    def __eq__(self, other: object) -> bool:
        return all(getattr(other, name) == near for name, near in self.numbers.items())

    __hash__ = None
