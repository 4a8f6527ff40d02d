"""What the curves of a training advise, in plain sentences."""

import statistics
from collections.abc import Iterator, Sequence

from tune.train.evals import Eval

_LOOK_AT = 100
"""Steps after which a training loss has moved if it ever will."""

_WINDOW = 20
"""Steps that are averaged: the loss of one batch is mostly which batch it was."""

_FLAT = 0.02
_RISEN = 0.01
"""Shares of a loss; less is taken for noise."""


def curve_advice(
    losses: Sequence[float], evals: Sequence[Eval], *, learning_rate: float, keeps_best: bool = False
) -> Iterator[str]:
    """Yield a sentence for everything that the guides say about curves like these.

    Args:
        losses: (N,) training loss of each optimizer step, nats a token.
        evals: Validation losses on the way and at the end, in their order.
        learning_rate: train.learning_rate.
        keeps_best: Whether the weights of the lowest validation loss were kept, and not the last ones.
    """
    if len(losses) >= _LOOK_AT:
        before, after = _mean(losses, _WINDOW), _mean(losses, _LOOK_AT)
        if after > before * (1 - _FLAT):
            yield (
                f"the training loss hardly fell in the first {_LOOK_AT} steps ({before:.3g} to {after:.3g}): "
                f"train.learning_rate={learning_rate:g} may be too low. Try three to ten times as much."
            )
    if not evals:
        return
    lowest, last = min(evals, key=lambda each: each.loss), evals[-1]
    then, now = _mean(losses, lowest.step), _mean(losses, last.step)
    if last.loss > lowest.loss * (1 + _RISEN) and now < then:
        advice = (
            f"The weights after step {lowest.step} were kept; fewer train.epochs cost less, and with more lora.dropout "
            "they may get further."
            if keeps_best
            else "Take fewer train.epochs or more lora.dropout."
        )
        yield (
            f"the validation loss rose from {lowest.loss:.3g} after step {lowest.step} to {last.loss:.3g} after step "
            f"{last.step}, while the training loss fell from {then:.3g} to {now:.3g}: the examples are learned by "
            f"heart. {advice}"
        )


def _mean(losses: Sequence[float], until: int) -> float:
    """Return the mean loss of the steps up to one, from 1."""
    return statistics.fmean(losses[max(0, until - _WINDOW) : until])
