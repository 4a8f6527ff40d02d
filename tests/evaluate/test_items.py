"""Which questions are asked where evaluate.items says how many: shares by hand, the same choice for everybody."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tune.errors import ConfigError
from tune.evaluate.items import draw_items, share_out
from tune.evaluate.questions import Question, QuestionBank, make_bank, read_mmlu, read_probe


def bank_of(**sizes: int) -> QuestionBank:
    questions = [
        Question(id=f"{subject}/{i}", subject=subject, text=f"{subject} {i}?", choices=("a", "b", "c", "d"), answer=0)
        for subject, n in sizes.items()
        for i in range(n)
    ]
    return make_bank("mmlu", questions, dict.fromkeys(sizes, ()))


def asked(bank: QuestionBank) -> dict[str, int]:
    return dict(Counter(question.subject for question in bank.test))


@pytest.mark.parametrize(
    ("n", "sizes", "by_hand"),
    [
        (10, {"law": 50, "art": 30, "war": 20}, {"law": 5, "art": 3, "war": 2}),
        # quotas 3.5, 2.1, 1.4: floors make 6, and the one left goes to the largest remainder, 0.5
        (7, {"law": 50, "art": 30, "war": 20}, {"law": 4, "art": 2, "war": 1}),
        # quotas 5.82, 0.12, 0.06: one each for the two small ones, and the large one pays
        (6, {"law": 97, "art": 2, "war": 1}, {"law": 4, "art": 1, "war": 1}),
        (3, {"law": 97, "art": 2, "war": 1}, {"law": 1, "art": 1, "war": 1}),
        (100, {"law": 97, "art": 2, "war": 1}, {"law": 97, "art": 2, "war": 1}),
    ],
)
def test_shares_by_hand(n: int, sizes: dict[str, int], by_hand: dict[str, int]) -> None:
    assert share_out(n, sizes) == by_hand
    assert asked(draw_items(bank_of(**sizes), n, seed=0)) == by_hand


def test_five_hundred_of_mmlu_have_every_subject_in_its_proportion(shared_data: Path) -> None:
    whole = read_mmlu(shared_data / "mmlu", limit=None)

    drawn = draw_items(whole, 500, seed=0)

    shares, sizes = asked(drawn), asked(whole)
    assert len(drawn.test) == 500
    assert shares.keys() == sizes.keys()
    assert all(abs(shares[subject] - 500 * n / 14_042) < 1 for subject, n in sizes.items())
    assert shares["professional_law"] == max(shares.values()), "MMLU's largest subject, 1,534 questions"


def test_the_choice_is_fixed_by_the_seed_and_not_by_the_files_order() -> None:
    bank = bank_of(law=40, art=20)
    turned = replace(bank, test=bank.test[::-1])

    one, again = draw_items(bank, 12, seed=3), draw_items(turned, 12, seed=3)
    other = draw_items(bank, 12, seed=4)

    assert {q.text for q in one.test} == {q.text for q in again.test}
    assert [q.id for q in one.test] == [q.id for q in bank.test if q in one.test], "in the bank's order"
    assert {q.text for q in one.test} != {q.text for q in other.test}
    assert len({one.digest, other.digest, bank.digest}) == 3, "a baseline of one choice is not another's"


def test_it_is_no_head_of_the_file() -> None:
    drawn = draw_items(bank_of(law=1000), 100, seed=0)

    places = [int(question.id.split("/")[1]) for question in drawn.test]
    # the mean of 100 of 0..999 is 499.5 with a standard error of 27; the first hundred would have 49.5
    assert abs(sum(places) / 100 - 499.5) < 4 * 27


@pytest.mark.parametrize("n", [56, 286])
def test_too_few_for_the_subjects_or_more_than_there_are_is_refused(n: int) -> None:
    with pytest.raises(ConfigError) as caught:
        draw_items(read_probe(limit=None), n, seed=0)

    assert str(caught.value) == (
        f"evaluate.items={n} is not allowed: general/probe has 285 questions in 57 subjects, and each subject is asked "
        "at least once. Take from 57 to 285, or evaluate.items=null for all."
    )
