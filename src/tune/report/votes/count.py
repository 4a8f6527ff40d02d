"""What the votes say once the sides are known: wins, losses, ties, and how sure one can be.

With several raters a question counts once, for the side that more of them prefer: votes on one question are not
independent of each other, questions are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tune.evaluate.binary import mcnemar_p
from tune.report.sheet.key import Key
from tune.report.votes.agree import cohen_kappa, fleiss_kappa
from tune.report.votes.read import Ballot, Choice

_PAIR = 2
_MOST_QUESTIONS = 10_000
_POWER = 0.8


class Result(StrEnum):
    """A vote once it is known which side was the trial's."""

    win = "win"
    """The trial's reply is better."""

    loss = "loss"
    tie = "tie"
    both_bad = "both bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How often each result came."""

    win: int
    loss: int
    tie: int
    both_bad: int

    @property
    def n(self) -> int:
        """Return how many results there are."""
        return self.win + self.loss + self.tie + self.both_bad

    @property
    def decided(self) -> int:
        """Return how many prefer one side."""
        return self.win + self.loss


@dataclass(frozen=True, kw_only=True, slots=True)
class RaterTally:
    """One rater's votes."""

    rater: str
    tally: Tally
    left: int
    """Wins of side A, and of B: what a rater who always takes one side shows by."""

    right: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far raters agree."""

    name: str
    """Cohen's or Fleiss' kappa."""

    n: int
    """Questions that all of them voted on."""

    kappa: float | None
    """None where it is not defined: no such question, or all votes are the same one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """All that the votes on one sheet say."""

    questions: Tally
    """A question once, whatever number of raters."""

    n_shown: int
    raters: tuple[RaterTally, ...]
    rate: float | None
    """Wins among the questions that were decided; None with none."""

    low: float | None
    high: float | None
    p: float | None
    """Two-sided, that wins and losses come as heads and tails do."""

    agreement: Agreement | None
    """None with one rater."""

    shares: Mapping[Result, float]
    """Of all questions, identical replies counted as ties, questions off the sheet as those on it."""

    results: Mapping[str, tuple[Result | None, ...]]
    """By id on the sheet: what each rater's vote was."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        plain = asdict(self)
        return plain | {"results": {one: list(said) for one, said in self.results.items()}}


def count(ballots: Sequence[Ballot], key: Key) -> Counted:
    """Return the votes un-blinded and counted."""
    results = {one: tuple(_result(ballot.votes.get(one), key, one) for ballot in ballots) for one in key.items}
    questions = _tally([_together(said) for said in results.values() if any(said)])
    low, high = exact_interval(questions.win, questions.decided, confidence=key.confidence)
    return Counted(
        questions=questions,
        n_shown=len(key.items),
        raters=tuple(_rater(ballot, [said[n] for said in results.values()]) for n, ballot in enumerate(ballots)),
        rate=questions.win / questions.decided if questions.decided else None,
        low=low,
        high=high,
        p=mcnemar_p(questions.win, questions.loss) if questions.decided else None,
        agreement=_agreement(results, len(ballots)),
        shares=_shares(questions, key),
        results=results,
    )


def exact_interval(wins: int, n: int, *, confidence: float) -> tuple[float | None, float | None]:
    """Return the exact interval of a share; it holds one half just where the sign test's p is above 1 - confidence.

    Args:
        wins: Of n.
        n: Trials that were won or lost; with 0 there is no interval.
        confidence: Probability that the interval is meant to cover, between 0 and 1.

    Source: Clopper and Pearson 1934, https://doi.org/10.1093/biomet/26.4.404, by quantiles of the beta distribution.
    """
    from scipy.special import betaincinv

    if not n:
        return None, None
    rest = (1 - confidence) / 2
    low = float(betaincinv(wins, n - wins + 1, rest)) if wins else 0.0
    high = float(betaincinv(wins + 1, n - wins, 1 - rest)) if wins < n else 1.0
    return low, high


def questions_needed(rate: float, *, confidence: float) -> int | None:
    """Return how many decided questions tell two models apart in four of five such ratings; None above 10,000.

    Args:
        rate: The true share of wins, 0 to 1.
        confidence: The sign test's p must be below one minus this.

    Source: power of the exact sign test, by the binomial distribution.
    """
    from scipy.special import bdtr

    rate = max(rate, 1 - rate)
    most_losses = -1  # that still tell; grows with n, by one at a time
    for n in range(1, _MOST_QUESTIONS + 1):
        if 2 * bdtr(most_losses + 1, n, 0.5) < 1 - confidence:
            most_losses += 1
        if most_losses >= 0 and bdtr(most_losses, n, 1 - rate) >= _POWER:
            return n
    return None


def _result(vote: Choice | None, key: Key, item: str) -> Result | None:
    if vote is None:
        return None
    if vote in {Choice.tie, Choice.both_bad}:
        return Result(vote.value)
    return Result.win if vote == key.items[item].trial else Result.loss


def _together(said: Sequence[Result | None]) -> Result:
    """Return what raters say of one question together: the side that more prefer; with none, what most say."""
    counts = Counter(said)
    balance = counts[Result.win] - counts[Result.loss]
    if balance:
        return Result.win if balance > 0 else Result.loss
    return Result.both_bad if 2 * counts[Result.both_bad] > sum(one is not None for one in said) else Result.tie


def _tally(results: Sequence[Result | None]) -> Tally:
    counts = Counter(results)
    return Tally(**{one.name: counts[one] for one in Result})


def _rater(ballot: Ballot, results: Sequence[Result | None]) -> RaterTally:
    sides = Counter(ballot.votes.values())
    return RaterTally(rater=ballot.rater, tally=_tally(results), left=sides[Choice.a], right=sides[Choice.b])


def _agreement(results: Mapping[str, Sequence[Result | None]], n_raters: int) -> Agreement | None:
    if n_raters < _PAIR:
        return None
    shared = [[one for one in said if one] for said in results.values() if all(said)]
    name = "Cohen's kappa" if n_raters == _PAIR else "Fleiss' kappa"
    if not shared:
        return Agreement(name=name, n=0, kappa=None)
    first, second, *_ = zip(*shared, strict=True)
    kappa = cohen_kappa(first, second) if n_raters == _PAIR else fleiss_kappa(shared)
    return Agreement(name=name, n=len(shared), kappa=kappa)


def _shares(questions: Tally, key: Key) -> dict[Result, float]:
    """Return the share of each result over all questions, weighing the sheet's for those that differ."""
    if not questions.n:
        return {}
    same = len(key.same) / key.n_all
    shares = {one: getattr(questions, one.name) / questions.n * (1 - same) for one in Result}
    return shares | {Result.tie: shares[Result.tie] + same}
