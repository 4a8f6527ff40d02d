"""Labels read out of replies, by hand."""

import pytest

from tune.config.scoring import LabelFrom, Normalise
from tune.errors import ConfigError, DataError
from tune.evaluate.labels import NONE, Labels, read_labels

RULES = [Normalise.case, Normalise.space, Normalise.full_stop]


def labels(how: LabelFrom = LabelFrom.only) -> Labels:
    return read_labels(["positive", "negative", "very negative"], ["positive"], rules=RULES, how=how)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("Positive.", 0),
        ("I would say this is positive!", 0),
        ("very negative", 2),
        ("It is VERY\n negative, yes", 2),
        ("positive, positive and positive", 0),
        ("positive, not negative", NONE),
        ("nonpositive", NONE),
        ("positively", NONE),
        ("", NONE),
        ("no idea", NONE),
    ],
)
def test_the_one_label_that_is_named(reply: str, number: int) -> None:
    assert labels().said(reply) == number


@pytest.mark.parametrize(
    ("how", "number"), [(LabelFrom.first, 1), (LabelFrom.last, 0), (LabelFrom.only, NONE), (LabelFrom.whole, NONE)]
)
def test_which_of_several_counts(how: LabelFrom, number: int) -> None:
    assert labels(how).said("at first negative, in the end positive") == number


def test_a_reply_that_is_the_label_and_nothing_else() -> None:
    assert [labels(LabelFrom.whole).said(reply) for reply in ("Negative.", "it is negative")] == [1, NONE]


def test_labels_with_signs_are_found_as_they_stand() -> None:
    signs = read_labels(["c++", "c", "(a|b)"], ["c"], rules=[], how=LabelFrom.only)

    assert [signs.said(reply) for reply in ("in c++ I think", "in c I think", "so (a|b) then")] == [0, 1, 2]


def test_labels_are_taken_from_the_answers_in_order() -> None:
    found = read_labels(None, ["b", "A", "a", "b"], rules=RULES, how=LabelFrom.only)

    assert found.names == ("A", "b")
    assert [found.right(answer) for answer in ("a", "A.", "B")] == [0, 0, 1]


@pytest.mark.parametrize("answers", [["one"], [str(n) for n in range(201)]])
def test_answers_that_make_no_set_of_labels(answers: list[str]) -> None:
    with pytest.raises(DataError, match=r"make no set of labels.*data.scoring.labels"):
        read_labels(None, answers, rules=RULES, how=LabelFrom.only)


def test_an_answer_that_is_no_label_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"'negativ' is none of the 2 labels.*Did you mean negative"):
        read_labels(["positive", "negative"], ["negativ"], rules=RULES, how=LabelFrom.only)


def test_labels_that_the_rules_make_alike_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.scoring.labels is empty, or the same as another.*yes, Yes, no"):
        read_labels(["yes", "Yes", "no"], ["no"], rules=RULES, how=LabelFrom.only)
