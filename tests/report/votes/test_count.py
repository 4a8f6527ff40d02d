"""Votes un-blinded and counted: by hand, and as scipy has the exact test and interval."""

import io

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import binom, binomtest

from tune.evaluate.binary import mcnemar_p
from tune.report.sheet.key import Key, Placed
from tune.report.votes.count import Result, Tally, count, exact_interval, questions_needed
from tune.report.votes.read import Ballot, Choice
from tune.report.votes.show import lines, print_counted, verdict

SIDES = "ABABABABAB"


def key(n: int = 10, *, n_same: int = 0, n_all: int | None = None, confidence: float = 0.95) -> Key:
    """Return a key of n items; the trial stands on A, B, A, …"""
    return Key(
        sheet="12345678",
        study="ranks",
        trial=3,
        against="base",
        form="adapter",
        split="test",
        confidence=confidence,
        seed=0,
        n_all=n + n_same if n_all is None else n_all,
        same=tuple(f"same/{number}" for number in range(n_same)),
        items={str(number): Placed(example=f"row/{number}", trial=SIDES[number % 10]) for number in range(n)},
    )


def ballot(results: str, *, rater: str = "one") -> Ballot:
    """Return votes that mean, item by item, w(in), l(oss), t(ie), b(oth bad), or nothing (.)."""
    votes = {}
    for number, result in enumerate(results):
        own = SIDES[number % 10]
        words = {"w": own, "l": "B" if own == "A" else "A", "t": "tie", "b": "both bad"}
        if result in words:
            votes[str(number)] = Choice(words[result])
    return Ballot(rater=rater, votes=votes, comments={})


def test_one_rater_by_hand() -> None:
    counted = count([ballot("wwwwwwltb.")], key())

    assert counted.questions == Tally(win=6, loss=1, tie=1, both_bad=1)
    assert counted.raters[0].tally == counted.questions
    # The trial stood on A B A B A B for the wins; the loss at the seventh, where it stood on A, is a vote for B.
    assert (counted.raters[0].left, counted.raters[0].right) == (3, 4)
    assert counted.rate == pytest.approx(6 / 7)
    # twice the smaller tail: seven ways to lose once and one to lose never, of 128
    assert counted.p == pytest.approx(0.125)
    assert counted.agreement is None


def test_a_question_counts_once_for_the_side_that_more_raters_prefer() -> None:
    raters = [ballot("wwltbtwb.", rater="a"), ballot("wlltbwlb.", rater="b"), ballot("lttttt.bw", rater="c")]
    counted = count(raters, key(9))

    # w: 2 to 1; tied with one tie; l: 2; t; b: 2 of 3; w; w against l; b; w alone
    expected = ["win", "tie", "loss", "tie", "both bad", "win", "tie", "both bad", "win"]
    assert counted.questions == Tally(**{one.name: expected.count(one.value) for one in Result})
    assert [one.tally.n for one in counted.raters] == [8, 8, 8]


def test_agreement_is_taken_on_the_questions_that_all_voted_on() -> None:
    two = count([ballot("wwll.", rater="a"), ballot("wlllw", rater="b")], key(5)).agreement
    three = count([ballot("wwt", rater="a"), ballot("wwt", rater="b"), ballot("wt.", rater="c")], key(3)).agreement

    assert two is not None
    assert (two.name, two.n, two.kappa) == ("Cohen's kappa", 4, pytest.approx(0.5))
    assert three is not None
    # As by hand in test_agree.
    assert (three.name, three.n) == ("Fleiss' kappa", 2)
    assert three.kappa == pytest.approx((2 / 3 - 26 / 36) / (10 / 36))


def test_identical_replies_are_ties_among_all_questions() -> None:
    # 4 of 20 the same; on the sheet half won, a quarter lost, a quarter tied of those that differ, 16 of 20
    counted = count([ballot("wwlt")], key(4, n_same=4, n_all=20))

    assert counted.shares == {
        Result.win: pytest.approx(0.4),
        Result.loss: pytest.approx(0.2),
        Result.tie: pytest.approx(0.4),
        Result.both_bad: 0,
    }
    assert "4 of 20 pairs of replies are identical: they were not shown and are ties." in lines(
        counted, key(4, n_same=4, n_all=20)
    )


@pytest.mark.parametrize(("wins", "losses"), [(0, 1), (1, 0), (5, 5), (9, 1), (30, 12), (0, 40), (211, 260)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_test_and_interval_are_what_scipy_gives(wins: int, losses: int, confidence: float) -> None:
    reference = binomtest(wins, wins + losses)
    low, high = exact_interval(wins, wins + losses, confidence=confidence)
    interval = reference.proportion_ci(confidence)

    assert mcnemar_p(wins, losses) == pytest.approx(reference.pvalue)
    assert (low, high) == pytest.approx((interval.low, interval.high))
    assert low is not None
    assert high is not None
    assert (low <= 0.5 <= high) == (reference.pvalue > 1 - confidence)


@pytest.mark.parametrize(("rate", "n"), [(1.0, 6), (0.0, 6), (0.9, 12), (0.75, 30), (0.6, 199)])
def test_how_many_questions_would_tell_is_the_least_with_that_power(rate: float, n: int) -> None:
    # 6: the least n of which none lost gives 2 / 2**n below 0.05. Others by scipy, here at n and one before.
    def power(n: int) -> float:
        most = max((k for k in range(n // 2) if binomtest(k, n).pvalue < 0.05), default=-1)
        return float(binom.cdf(most, n, min(rate, 1 - rate)))

    assert questions_needed(rate, confidence=0.95) == n
    assert power(n) >= 0.8 > power(n - 1)


def test_what_cannot_be_told_needs_no_number_of_questions() -> None:
    assert questions_needed(0.5, confidence=0.95) is None


def test_three_raters_who_agree_give_no_more_false_alarms_than_one() -> None:
    # Nobody is better. Of each question all three have one opinion, and each rater errs on a fifth of them.
    rng = np.random.default_rng(0)
    n_studies, n, alarms, pooled = 1000, 40, 0, 0
    for _ in range(n_studies):
        opinion, errs = rng.random(n) < 0.5, rng.random((3, n)) < 0.2
        said = ["".join("wl"[int(one)] for one in opinion ^ own) for own in errs]
        counted = count([ballot(one, rater=str(r)) for r, one in enumerate(said)], key(n))
        alarms += counted.p is not None and counted.p < 0.05
        n_wins = sum(one.count("w") for one in said)
        pooled += mcnemar_p(n_wins, 3 * n - n_wins) < 0.05

    assert alarms / n_studies < 0.05
    assert pooled / n_studies > 0.1, "votes are not independent: counting each would promise too much"


def test_nothing_decided_says_that_nothing_can_be_said() -> None:
    for said in ("ttbb", "...."):
        counted = count([ballot(said)], key(4))

        assert (counted.rate, counted.low, counted.high, counted.p) == (None, None, None, None)
        assert (
            verdict(counted, key(4)) == "No vote prefers trial 3 or the base: nothing can be said of which is better."
        )
    assert lines(counted, key(4))[0] == "4 of 4 questions on the sheet have no vote and are not counted."


def test_the_words_follow_the_exact_test() -> None:
    # 9 to 1: p = 2 * 11 / 1024 = 0.021; 8 to 2: p = 2 * 56 / 1024 = 0.109
    better, worse, even = (count([ballot(said)], key()) for said in ("wwwwwwwwwl", "llllllllwl", "wwwwwwwwll"))

    assert verdict(better, key()).startswith("Raters prefer trial 3 to the base: on 9 of the 10 questions")
    assert verdict(worse, key()).startswith("Raters prefer the base to trial 3: on 9 of the 10 questions")
    assert verdict(even, key()).startswith("Raters do not tell trial 3 and the base apart: 8 wins and 2 losses")
    assert verdict(better, key(confidence=0.99)).startswith("Raters do not tell")


def test_raters_and_all_together_are_printed() -> None:
    console = Console(file=io.StringIO(), width=100)

    raters = [ballot("wwwwwwwwwl", rater="Ann [red]"), ballot("wwwwwwww..", rater="votes/b.csv")]
    print_counted(count(raters, key()), key(), console)

    text = console.file.getvalue()
    assert "ranks: trial 3 beside the base, test questions, sheet 12345678" in text
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["votes/b.csv"] == ["votes/b.csv", "8", "of", "10", "8", "0", "0", "0", "4", "of", "8"]
    assert rows["together"] == ["together", "10", "of", "10", "9", "1", "0", "0"]
    assert (
        "win rate 0.900, 95 % [0.555, 0.997], of the 10 questions where one was preferred; sign test p = 0.021" in text
    )
    assert "all votes on the 8 shared questions are the same, so Cohen's kappa is not defined" in text
