"""Corpus BLEU and macro F1 as one number an example: their mean is the score, their spread is its uncertainty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU
from sklearn.metrics import f1_score

from tune.evaluate.difference import score_delta
from tune.evaluate.together import corpus_bleu, macro_f1

WORDS = ["red", "green", "blue", "one", "two", "three", "four", "five", "six", "seven"]


def texts(n: int, seed: int, *, wrong: float) -> tuple[list[str], list[str]]:
    """Answers of 6 to 12 words, and replies with some words changed and some left out."""
    rng = np.random.default_rng(seed)
    answers = [[WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(6, 13))] for _ in range(n)]
    replies = [
        [WORDS[rng.integers(10)] if rng.random() < wrong else word for word in answer if rng.random() > 0.1]
        for answer in answers
    ]
    return [" ".join(answer) for answer in answers], [" ".join(reply) for reply in replies]


@pytest.mark.parametrize("wrong", [0.0, 0.2, 0.9])
def test_the_mean_is_bleu_of_all_replies(wrong: float) -> None:
    answers, replies = texts(40, 1, wrong=wrong)

    assert corpus_bleu(answers, replies).mean() == pytest.approx(BLEU().corpus_score(replies, [answers]).score / 100)


def test_bleu_of_nothing_is_0() -> None:
    assert corpus_bleu(["a b c d", "e f"], ["", ""]).tolist() == [0, 0]


def test_bleu_of_all_right_is_1_whoever_is_left_out() -> None:
    answers, _ = texts(8, 2, wrong=0)

    assert corpus_bleu(answers, answers) == pytest.approx(np.ones(8))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 5)), min_size=1, max_size=30))
def test_the_mean_is_macro_f1_of_scikit_learn_over_the_labels_that_are_right_somewhere(pairs) -> None:
    right, said = np.array(pairs).T

    expected = f1_score(right, said, labels=sorted(set(right.tolist())), average="macro", zero_division=0)
    assert macro_f1(right, said).mean() == pytest.approx(expected)


def test_macro_f1_by_hand() -> None:
    # label 0: 2 TP, 1 FN, 0 FP: 4/5; label 1: 1 TP, 1 FP: 2/3; the label 7 and none are only wrong
    found = macro_f1(np.array([0, 0, 0, 1, 0]), np.array([0, 0, 1, 1, 7]))

    # the last example makes a second FN of label 0: 4/6
    assert found.mean() == pytest.approx((2 / 3 + 2 / 3) / 2)


def jackknife(score, n: int) -> float:
    """Return the standard error that leaving each example out in turn gives."""
    out = np.array([score(np.delete(np.arange(n), i)) for i in range(n)])
    return float(np.sqrt((n - 1) / n * ((out - out.mean()) ** 2).sum()))


def test_the_spread_of_bleu_is_that_of_leaving_examples_out() -> None:
    answers, replies = texts(60, 3, wrong=0.2)
    alone = jackknife(
        lambda kept: BLEU().corpus_score([replies[i] for i in kept], [[answers[i] for i in kept]]).score / 100, 60
    )

    assert corpus_bleu(answers, replies).std(ddof=1) / np.sqrt(60) == pytest.approx(alone, rel=0.05)


def labelled(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right labels with one rare, and what two models say: the second is more often right."""
    rng = np.random.default_rng(seed)
    right = rng.choice(4, size=n, p=[0.5, 0.25, 0.15, 0.1])
    hard, guess = rng.random(n), rng.integers(4, size=n)
    return right, np.where(hard < 0.6, right, guess), np.where(hard < 0.75, right, guess)


def test_the_paired_change_of_macro_f1_has_the_spread_of_a_bootstrap_over_examples() -> None:
    right, base, tuned = labelled(400, 5)
    rng = np.random.default_rng(6)

    def f1(said: np.ndarray, chosen: np.ndarray) -> float:
        return float(macro_f1(right[chosen], said[chosen]).mean())  # equal to scikit-learn's, as shown above

    draws = [rng.integers(400, size=400) for _ in range(600)]
    changes = [f1(tuned, chosen) - f1(base, chosen) for chosen in draws]

    delta = score_delta(macro_f1(right, base), macro_f1(right, tuned))

    whole = np.arange(400)
    assert delta.mean == pytest.approx(f1(tuned, whole) - f1(base, whole))
    assert delta.stderr == pytest.approx(np.std(changes, ddof=1), rel=0.1)
    assert [delta.low, delta.high] == pytest.approx(np.quantile(changes, [0.025, 0.975]), abs=0.01)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_examples_changes_nothing_but_their_order(seed: int) -> None:
    right, said, _ = labelled(20, seed)
    order = np.random.default_rng(seed).permutation(20)

    assert macro_f1(right[order], said[order]) == pytest.approx(macro_f1(right, said)[order])
