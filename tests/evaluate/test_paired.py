"""Paired changes and their intervals, against numbers worked by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tune.errors import EvaluationError
from tune.evaluate.paired import Delta, clustered_delta, paired_delta


def test_one_answer_lost_in_four_by_hand() -> None:
    # change = [-1, 0, 0, 0]: mean -1/4, sample variance 1/4, stderr 1/2 / sqrt(4)
    delta = paired_delta(np.ones(4), np.array([0.0, 1.0, 1.0, 1.0]))

    assert delta.mean == pytest.approx(-0.25)
    assert delta.stderr == pytest.approx(0.25)
    assert delta.n == 4


def test_the_interval_reaches_student_t_times_the_standard_error() -> None:
    # 3 degrees of freedom: the printed tables have t = 3.182 for 95 % and 2.353 for 90 %
    wide = paired_delta(np.ones(4), np.array([0.0, 1.0, 1.0, 1.0]))
    narrow = paired_delta(np.ones(4), np.array([0.0, 1.0, 1.0, 1.0]), confidence=0.90)

    assert (wide.low, wide.high) == pytest.approx((-0.25 - 3.182 / 4, -0.25 + 3.182 / 4), abs=1e-3)
    assert (narrow.low, narrow.high) == pytest.approx((-0.25 - 2.353 / 4, -0.25 + 2.353 / 4), abs=1e-3)


def test_the_interval_is_the_one_of_scipys_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    base, tuned = rng.random(30), rng.random(30)

    delta = paired_delta(base, tuned, confidence=0.9)

    low, high = stats.ttest_rel(tuned, base).confidence_interval(0.9)
    assert (delta.low, delta.high) == pytest.approx((low, high))


def test_p_is_the_one_of_scipys_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    base, tuned = rng.random(30), rng.random(30)

    assert paired_delta(base, tuned).p == pytest.approx(stats.ttest_rel(tuned, base).pvalue)


def test_changes_that_are_all_equal_are_a_point_without_certainty() -> None:
    # all four on one side: 2 / 2^4 under no change
    delta = paired_delta(np.zeros(4), np.full(4, 0.5))

    assert (delta.low, delta.high, delta.p) == (0.5, 0.5, 0.125)
    assert delta.direction == 0
    assert "the 4 changes show no spread, so nothing tells how sure this is" in delta.note


def test_direction_needs_interval_and_test_to_agree() -> None:
    sure = Delta(mean=0.1, stderr=0.01, low=0.05, high=0.15, n=50, p=0.01)

    assert sure.direction == 1
    assert replace(sure, p=0.06).direction == 0
    assert replace(sure, low=-0.01).direction == 0
    assert replace(sure, mean=-0.1, low=-0.15, high=-0.05).direction == -1
    assert replace(sure, confidence=0.995).direction == 0


def test_pairing_takes_out_how_hard_the_questions_are() -> None:
    # scores spread from 0 to 1, every one raised by 0.1 or 0.2: the spread of the change is all that counts
    base = np.linspace(0.0, 0.8, 5)
    tuned = base + np.array([0.1, 0.2, 0.1, 0.2, 0.15])

    delta = paired_delta(base, tuned)

    # squares around 0.15: 4 x 0.05^2 = 0.01, over 4 is 0.0025, stderr 0.05 / sqrt(5)
    assert delta.mean == pytest.approx(0.15)
    assert delta.stderr == pytest.approx(0.05 / math.sqrt(5))


def test_equal_scores_give_a_delta_of_exactly_zero() -> None:
    delta = paired_delta(np.array([1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0]))

    assert (delta.mean, delta.stderr, delta.low, delta.high) == (0.0, 0.0, 0.0, 0.0)


def test_two_subjects_that_move_together_by_hand() -> None:
    # change = [1, 1, 0, 0], mean 1/2; sums of d - 1/2 by subject: +1 and -1
    # 1 / (1 - 2/4) = 2, 2 x (1 + 1) = 4, stderr sqrt(4) / 4 = 1/2; t with 1 degree of freedom is 12.706
    delta = clustered_delta(np.zeros(4), np.array([1.0, 1.0, 0.0, 0.0]), ["anatomy", "anatomy", "law", "law"])

    assert delta.mean == pytest.approx(0.5)
    assert delta.stderr == pytest.approx(0.5)
    assert (delta.low, delta.high) == pytest.approx((0.5 - 12.706 / 2, 0.5 + 12.706 / 2), abs=1e-3)
    assert delta.n == 4


def test_two_subjects_of_which_each_half_moves_by_hand() -> None:
    # change = [1, 0, 1, 0], mean 1/2; each subject's sum of d - 1/2 is 0, so nothing differs between subjects
    delta = clustered_delta(np.zeros(4), np.array([1.0, 0.0, 1.0, 0.0]), ["anatomy", "anatomy", "law", "law"])

    assert delta.stderr == pytest.approx(0.0)


def test_subjects_of_unequal_size_by_hand() -> None:
    # change = [1, 0, 0, 0], mean 1/4; sums: a 3/4, b -1/4, c -1/4 - 1/4 = -1/2
    # squares over 1 - n_g / N: 9/16 / (3/4) + 1/16 / (3/4) + 4/16 / (1/2) = 3/4 + 1/12 + 1/2 = 4/3
    delta = clustered_delta(np.zeros(4), np.array([1.0, 0.0, 0.0, 0.0]), ["a", "b", "c", "c"])

    assert delta.mean == pytest.approx(0.25)
    assert delta.stderr == pytest.approx(math.sqrt(4 / 3) / 4)


def test_one_question_a_subject_is_the_plain_paired_delta() -> None:
    rng = np.random.default_rng(1)
    base, tuned = rng.random(12), rng.random(12)

    clustered = clustered_delta(base, tuned, [f"subject {i}" for i in range(12)])

    plain = paired_delta(base, tuned)
    assert clustered.stderr == pytest.approx(plain.stderr)
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high))


def test_the_order_of_the_questions_does_not_matter_to_a_clustered_delta() -> None:
    base, tuned, clusters = np.zeros(5), np.array([1.0, 1.0, 0.0, 0.0, 1.0]), np.array(["a", "a", "b", "b", "c"])
    order = np.array([4, 2, 0, 3, 1])

    straight = clustered_delta(base, tuned, list(clusters))
    shuffled = clustered_delta(base[order], tuned[order], list(clusters[order]))

    assert shuffled.stderr == pytest.approx(straight.stderr)


@pytest.mark.parametrize(
    ("base", "tuned", "words"),
    [
        (np.ones(3), np.ones(4), "cannot pair 3 base scores with 4 tuned scores"),
        (np.ones(1), np.ones(1), "need the same two or more questions"),
        (np.ones(0), np.ones(0), "Evaluate both with the same evaluate.limit"),
        (np.ones(2), np.array([1.0, np.nan]), "1 of 2 tuned scores are NaN or infinite, all must be finite"),
        (np.array([-np.inf, np.inf, 0.0]), np.ones(3), "2 of 3 base scores are NaN or infinite"),
    ],
)
def test_scores_that_cannot_be_paired_are_refused_in_words(base: np.ndarray, tuned: np.ndarray, words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        paired_delta(base, tuned)
    with pytest.raises(EvaluationError, match=words):
        clustered_delta(base, tuned, [str(i) for i in range(base.size)])


def test_a_missing_cluster_name_is_refused() -> None:
    with pytest.raises(EvaluationError, match="cannot group 3 scores by 2 cluster names: each question needs one"):
        clustered_delta(np.ones(3), np.ones(3), ["a", "b"])


def test_a_single_cluster_is_refused_by_name() -> None:
    with pytest.raises(EvaluationError, match=r"from one cluster \(anatomy\): need two or more subjects"):
        clustered_delta(np.ones(3), np.ones(3), ["anatomy"] * 3)


def test_a_confidence_outside_zero_to_one_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        paired_delta(np.ones(3), np.zeros(3), confidence=95)
