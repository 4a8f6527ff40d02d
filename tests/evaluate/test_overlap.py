"""Overlap of reply and answer: by hand, and equal to rouge-score and sacrebleu."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import CHRF

from tune.config.metric import OF_ROUGE, Metric
from tune.config.scoring import Normalise
from tune.evaluate.normal import normalised
from tune.evaluate.overlap import chrf, is_blank_to_rouge, rouge, sentence_bleu, token_f1

ANSWERS = ["The cat sat on the mat.", "No.", "It rains in Oslo today, and tomorrow too.", "one two three four"]
REPLIES = ["A cat was sitting on the mat", "Yes!", "It rains in Oslo today, and tomorrow too.", ""]


@pytest.mark.parametrize(
    ("answer", "reply", "f1"),
    [
        ("the Eiffel Tower", "Eiffel tower.", 1.0),  # article, case and punctuation do not count
        ("Paris, France", "Paris", 2 / 3),  # P 1, R 1/2
        ("a b b c", "b b b d", 2 * 2 / 7),  # "a" is an article; b twice on both sides, 3 and 4 words
        ("London", "Paris", 0.0),
        ("the", "a", 1.0),  # nothing is left of either
        ("the", "Paris", 0.0),
    ],
)
def test_token_f1_by_hand(answer: str, reply: str, f1: float) -> None:
    assert token_f1(answer, reply) == pytest.approx(f1)


@settings(max_examples=40)
@given(st.text(max_size=20), st.text(max_size=20))
def test_token_f1_is_a_share_that_does_not_care_which_is_which(one: str, other: str) -> None:
    assert 0 <= token_f1(one, other) <= 1
    assert token_f1(one, other) == token_f1(other, one)
    assert token_f1(one, one) == 1


@pytest.mark.parametrize("kind", OF_ROUGE)
def test_rouge_is_that_of_rouge_score(kind: Metric) -> None:
    scorer = RougeScorer([kind.value])

    found = rouge(ANSWERS, REPLIES, kind)

    assert found.tolist() == [scorer.score(a, r)[kind.value].fmeasure for a, r in zip(ANSWERS, REPLIES, strict=True)]
    assert found[2] == 1
    assert found[1] == found[3] == 0


def test_rouge_by_hand() -> None:
    # the cat sat down / the cat lay down: three of four words, one of three pairs, "the cat down" in order
    pair = (["the cat sat down"], ["the cat lay down"])

    assert [float(rouge(*pair, kind)[0]) for kind in OF_ROUGE] == pytest.approx([3 / 4, 1 / 3, 3 / 4])


def test_rouge_does_not_see_other_scripts() -> None:
    assert [is_blank_to_rouge(text) for text in ("Москва", "東京", "!?", "5", "a")] == [True, True, True, False, False]


def test_sentence_bleu_by_hand() -> None:
    # precisions 3/4, 2/3, 1/2 and a fourth of 0, which is smoothed to 1/2 of 1; brevity exp(1 - 5/4)
    by_hand = np.exp(1 - 5 / 4) * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25

    assert sentence_bleu(["a b c e f"], ["a b c d"])[0] == pytest.approx(by_hand)


def test_chrf_is_that_of_sacrebleu() -> None:
    found = chrf(ANSWERS, REPLIES)

    expected = [CHRF().sentence_score(r, [a]).score / 100 for a, r in zip(ANSWERS, REPLIES, strict=True)]
    assert found.tolist() == expected
    assert found[2] == 1


@pytest.mark.parametrize(
    ("text", "rules", "left"),
    [
        ("  The  Cat. ", [Normalise.full_stop, Normalise.space, Normalise.case], "the cat"),
        ("a.b, «c»", [Normalise.punctuation], "ab c"),
        ("An apple a day: the end", [Normalise.articles, Normalise.space], "apple day: end"),
        ("Éire ﬁne", [Normalise.accents, Normalise.unicode], "Eire fine"),
        ("as it Is.", [], "as it Is."),
        ("STRASSE straße", [Normalise.case], "strasse strasse"),
        ("x .", [Normalise.case, Normalise.space, Normalise.full_stop], "x "),  # as it has always been
    ],
)
def test_what_is_made_alike(text: str, rules: list[Normalise], left: str) -> None:
    assert normalised(text, rules) == left


@given(st.text())
def test_the_default_rules_are_the_folding_that_was_there(text: str) -> None:
    default = [Normalise.case, Normalise.space, Normalise.full_stop]

    assert normalised(text, default) == " ".join(text.casefold().split()).removesuffix(".")
