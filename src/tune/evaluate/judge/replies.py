"""Replies of a base and an adapted model, rated one by one and compared in both orders."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.digest import digest
from tune.config.judge import JudgeConfig
from tune.errors import EvaluationError
from tune.evaluate.judge.ask import Finding, Judge
from tune.evaluate.judge.pace import Cost
from tune.evaluate.judge.wording import ASPECTS, FIRST, SECOND, Inquiry, choose, rate

UNKEPT = "the cache did not take every answer, so some would be asked for again; look at the room in TUNE_CACHE"


class Result(StrEnum):
    """What became of a pair in both orders."""

    win = "win"
    """The adapted model's reply is better, whichever stands first."""

    loss = "loss"
    tie = "tie"
    """Neither is better, or which one is depends on the order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One question that both models replied to."""

    id: str
    question: str
    answer: str
    """The right one; may be empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One pair of replies."""

    result: Result | None
    """None where the judge did not answer to both orders."""

    picks: tuple[str | None, str | None]
    """A, B or tie, with the base's reply as A, then with the adapted model's as A; None where missing, or not asked."""

    is_same: bool
    """The replies are equal, so it is a tie and the judge was not asked."""

    @property
    def is_by_place(self) -> bool:
        """Return whether the judge took the same place twice, so two different replies."""
        return self.picks in {(FIRST, FIRST), (SECOND, SECOND)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """All that the judge says."""

    model: str
    asked: tuple[Asked, ...]
    n_all: int
    """Examples that there are, of which so many were judged as evaluate.judge.limit allows."""

    base: Mapping[str, NDArray[np.float64]]
    """(N,) scores from 1 to 5 of each aspect; NaN where missing."""

    tuned: Mapping[str, NDArray[np.float64]]
    pairs: tuple[Compared, ...]
    reasons: tuple[Mapping[str, str], ...]
    """The judge's own words on each example: base, tuned, base first, tuned first."""

    cost: Cost
    money: float | None
    """In the currency of the prices; None without them."""

    why: Mapping[str, int]
    """Why answers are missing, and how many are."""

    notes: tuple[str, ...] = ()

    @property
    def n_missing(self) -> int:
        """Return the examples of which a score or the comparison is missing."""
        scores = np.array([*self.base.values(), *self.tuned.values()])  # (6, N)
        unrated = np.isnan(scores).any(axis=0)
        return sum(bool(lost) or pair.result is None for lost, pair in zip(unrated, self.pairs, strict=True))

    @property
    def is_heard(self) -> bool:
        """Return whether the judge answered to anything."""
        return any(self.reasons)

    def count(self, result: Result) -> int:
        """Return the pairs that ended so."""
        return sum(pair.result is result for pair in self.pairs)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; what is missing is null."""
        examples = [
            {
                "id": asked.id,
                "base": _plain(self.base, n),
                "tuned": _plain(self.tuned, n),
                "result": pair.result,
                "picks": list(pair.picks),
                "is_same": pair.is_same,
                "reasons": dict(reasons),
            }
            for n, (asked, pair, reasons) in enumerate(zip(self.asked, self.pairs, self.reasons, strict=True))
        ]
        cost = asdict(self.cost) | {"money": self.money}
        about = {"model": self.model, "n_all": self.n_all, "notes": list(self.notes), "why_missing": dict(self.why)}
        return about | {"cost": cost, "examples": examples}


def judge_replies(
    asked: Sequence[Asked],
    base: Sequence[str],
    tuned: Sequence[str],
    config: JudgeConfig,
    on_progress: Callable[[int, int], None],
) -> Judgement:
    """Return what the judge says of both models' replies; what it does not say is missing, and why is told.

    Args:
        asked: (N,) questions.
        base: (N,) replies of the base, in their order.
        tuned: (N,) replies of the adapted model.
        config: With an address and a model.
        on_progress: Is told how many of how many inquiries are through.

    Raises:
        EvaluationError: There are not as many replies as questions, or the key cannot be sent in secret.
    """
    if not len(asked) == len(base) == len(tuned):
        msg = (
            f"{len(asked)} questions with {len(base)} replies of the base and {len(tuned)} of the adapted model cannot "
            "be judged: each needs one of both. Score both on the same rows."
        )
        raise EvaluationError(msg)
    trios = _drawn(list(zip(asked, base, tuned, strict=True)), config.limit)
    inquiries = [_inquiries(*trio) for trio in trios]
    judge = Judge(config)
    found = judge.ask_all([one for some in inquiries for one in some.values()], on_progress)
    findings = [{name: found[one] for name, one in some.items()} for some in inquiries]
    missing = {one: finding.why for one, finding in found.items() if finding.said is None}
    return Judgement(
        model=config.model or "",
        asked=tuple(one for one, _, _ in trios),
        n_all=len(asked),
        base=_scores(findings, "base"),
        tuned=_scores(findings, "tuned"),
        pairs=tuple(_compared(some) for some in findings),
        reasons=tuple({name: one.said["reason"] for name, one in some.items() if one.said} for some in findings),
        cost=judge.cost,
        money=judge.cost.money(config),
        why=dict(Counter(missing.values()).most_common()),
        notes=() if judge.is_kept else (UNKEPT,),
    )


def _drawn(trios: list[tuple[Asked, str, str]], limit: int | None) -> list[tuple[Asked, str, str]]:
    """Return so many, chosen by their ids alone, so that every trial is judged on the same ones; the order stays."""
    if limit is None or len(trios) <= limit:
        return trios
    chosen = set(sorted((trio[0].id for trio in trios), key=digest)[:limit])
    return [trio for trio in trios if trio[0].id in chosen]


def _inquiries(asked: Asked, base: str, tuned: str) -> dict[str, Inquiry]:
    ratings = {name: rate(asked.question, asked.answer, reply) for name, reply in (("base", base), ("tuned", tuned))}
    if base == tuned:
        return ratings
    return ratings | {
        "base first": choose(asked.question, asked.answer, (base, tuned)),
        "tuned first": choose(asked.question, asked.answer, (tuned, base)),
    }


def _scores(findings: Sequence[Mapping[str, Finding]], side: str) -> dict[str, NDArray[np.float64]]:
    said = [some[side].said for some in findings]
    return {aspect: np.array([one[aspect] if one else np.nan for one in said], dtype=np.float64) for aspect in ASPECTS}


def _compared(findings: Mapping[str, Finding]) -> Compared:
    if "base first" not in findings:
        return Compared(result=Result.tie, picks=(None, None), is_same=True)
    first, second = _pick(findings["base first"]), _pick(findings["tuned first"])
    if first is None or second is None:
        return Compared(result=None, picks=(first, second), is_same=False)
    result = {(SECOND, FIRST): Result.win, (FIRST, SECOND): Result.loss}.get((first, second), Result.tie)
    return Compared(result=result, picks=(first, second), is_same=False)


def _pick(finding: Finding) -> str | None:
    return None if finding.said is None else str(finding.said["better"])


def _plain(scores: Mapping[str, NDArray[np.float64]], n: int) -> dict[str, int] | None:
    values = {aspect: float(of[n]) for aspect, of in scores.items()}
    return None if any(map(np.isnan, values.values())) else {aspect: int(value) for aspect, value in values.items()}
