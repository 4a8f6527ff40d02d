"""What a judgement comes to: metrics for programs, sentences for people."""

from collections.abc import Mapping

import numpy as np

from tune.evaluate.binary import binary_delta
from tune.evaluate.clusters import LEAST
from tune.evaluate.difference import score_delta
from tune.evaluate.judge.replies import Judgement, Result
from tune.evaluate.judge.wording import ASPECTS

BIASED = 0.3
"""Share of pairs decided by the place from which a warning is given; a judge that picks at random has 0.5."""


def summarize(judgement: Judgement, confidence: float) -> dict[str, float]:
    """Return the metrics, all finite; what cannot be told for want of answers is not among them.

    Args:
        judgement: Of a base and an adapted model.
        confidence: Probability that the intervals are meant to cover, between 0 and 1.
    """
    metrics: dict[str, float] = {}
    for aspect in ASPECTS:
        metrics |= _aspect(judgement, aspect, confidence)
    metrics |= _wins(judgement, confidence)
    both = [pair for pair in judgement.pairs if pair.result is not None and not pair.is_same]
    if both:
        metrics["judge/position_bias"] = sum(pair.is_by_place for pair in both) / len(both)
    metrics["judge/missing"] = judgement.n_missing / len(judgement.pairs) if judgement.pairs else 1.0
    return metrics | _costs(judgement)


def _aspect(judgement: Judgement, aspect: str, confidence: float) -> dict[str, float]:
    base, tuned = judgement.base[aspect], judgement.tuned[aspect]
    both = np.isfinite(base) & np.isfinite(tuned)
    if not both.any():
        return {}
    name = f"judge/{aspect}"
    means = {name: float(tuned[both].mean()), f"{name}_base": float(base[both].mean())}
    if both.sum() < LEAST:
        return means
    delta = score_delta(base[both], tuned[both], confidence=confidence)
    return means | {f"{name}_delta": delta.mean, f"{name}_delta_low": delta.low, f"{name}_delta_high": delta.high}


def _wins(judgement: Judgement, confidence: float) -> dict[str, float]:
    wins, losses, ties = (judgement.count(result) for result in (Result.win, Result.loss, Result.tie))
    counts = {"judge/wins": float(wins), "judge/losses": float(losses), "judge/ties": float(ties)}
    if wins + losses + ties < LEAST:
        return counts
    # A win is +1, a loss -1, a tie 0: what an answer that became right, wrong or stayed is, so the same test and
    # interval hold; the rate is half of that, from one half.
    delta = binary_delta(wins, losses, wins + losses + ties, confidence=confidence)
    rate = {"": delta.mean, "_low": delta.low, "_high": delta.high}
    return counts | {f"judge/win_rate{end}": (1 + value) / 2 for end, value in rate.items()} | {"judge/win_p": delta.p}


def _costs(judgement: Judgement) -> dict[str, float]:
    cost = judgement.cost
    counted = {
        "judge/cost_requests": float(cost.n_requests),
        "judge/cost_cached": float(cost.n_cached),
        "judge/cost_input_tokens": float(cost.input_tokens),
        "judge/cost_output_tokens": float(cost.output_tokens),
    }
    if judgement.money is None or cost.n_uncounted:
        return counted
    return counted | {"judge/cost_money": judgement.money}


def sentences(judgement: Judgement, confidence: float, *, tuned: str = "the adapted model") -> list[str]:
    """Return in plain words what can be said and what cannot.

    Args:
        judgement: Of a base and an adapted model.
        confidence: Probability that the intervals are meant to cover, between 0 and 1.
        tuned: What to call the adapted model.
    """
    metrics = summarize(judgement, confidence)
    return [
        _preferred(judgement, metrics, confidence, tuned),
        *_aspects(metrics, confidence),
        *_doubts(judgement, metrics),
        _paid(judgement),
        *judgement.notes,
    ]


def _preferred(judgement: Judgement, metrics: Mapping[str, float], confidence: float, tuned: str) -> str:
    wins, losses, ties = (judgement.count(result) for result in (Result.win, Result.loss, Result.tie))
    n = wins + losses + ties
    if "judge/win_rate" not in metrics:
        return f"{judgement.model} compared {n} pairs of replies, too few to say which model is better."
    rate, low, high = (metrics[f"judge/win_rate{end}"] for end in ("", "_low", "_high"))
    p = metrics["judge/win_p"]
    counted = (
        f"{wins} wins, {losses} losses and {ties} ties of {n}, win rate {rate:.3f} "
        f"[{low:.3f}, {high:.3f}], sign test p = {p:.2g}"
    )
    if p >= 1 - confidence:
        return f"{judgement.model} does not tell {tuned} and its base apart: {counted}."
    better, worse = (tuned, "its base") if wins > losses else ("the base", tuned)
    return f"{judgement.model} prefers {better} to {worse}: {counted}."


def _aspects(metrics: Mapping[str, float], confidence: float) -> list[str]:
    said = []
    for aspect in ASPECTS:
        name = f"judge/{aspect}"
        if f"{name}_delta" not in metrics:
            continue
        change, low, high = (metrics[f"{name}_delta{end}"] for end in ("", "_low", "_high"))
        word = "up" if low > 0 else "down" if high < 0 else "no change shown"
        said.append(
            f"{aspect}: {metrics[f'{name}_base']:.2f} to {metrics[name]:.2f} of 5, {change:+.2f} "
            f"[{low:+.2f}, {high:+.2f}] at {confidence:.0%}: {word}"
        )
    return said


def _doubts(judgement: Judgement, metrics: Mapping[str, float]) -> list[str]:
    said = []
    n = len(judgement.pairs)
    if n < judgement.n_all:
        said.append(f"{n} of {judgement.n_all} examples were judged (evaluate.judge.limit).")
    if same := sum(pair.is_same for pair in judgement.pairs):
        said.append(f"On {same} of {n} both models replied the same: ties, without asking.")
    bias = metrics.get("judge/position_bias", 0.0)
    if bias:
        much = " It follows the order more than a comparison should: trust it little." if bias >= BIASED else ""
        said.append(f"In {bias:.0%} of the pairs the judge took the same place in both orders, which is a tie.{much}")
    if judgement.n_missing:
        reasons = "; ".join(f"{why} ({count})" for why, count in judgement.why.items())
        said.append(f"{judgement.n_missing} of {n} examples are missing, in part or whole: {reasons}.")
    return said


def _paid(judgement: Judgement) -> str:
    cost = judgement.cost
    words = f"{cost.n_requests} requests, {cost.n_cached} answers from the cache"
    words += f", {cost.input_tokens} tokens read and {cost.output_tokens} written"
    words += f", not counted by the server for {cost.n_uncounted} requests" if cost.n_uncounted else ""
    least = "at least " if cost.n_uncounted else ""
    return f"Cost: {words}{'' if judgement.money is None else f', {least}{judgement.money:.4g} in your currency'}."
