"""Advice from curves that were drawn by hand."""

import pytest

from tune.train.advice import curve_advice
from tune.train.evals import Eval


def advice(losses: list[float], *evals: tuple[int, float]) -> list[str]:
    found = [Eval(index=place, step=step, loss=loss) for place, (step, loss) in enumerate(evals, start=1)]
    return list(curve_advice(losses, found, learning_rate=1e-6))


FALLING = [3.0 - 0.02 * step for step in range(120)]
"""Steps 1 to 20 have the mean 2.81, 21 to 40 2.41, 41 to 60 2.01, 81 to 100 1.21 and 101 to 120 0.81."""


def test_a_loss_that_stays_where_it_was_after_a_hundred_steps() -> None:
    # 2.5 to 2.46 is a fall of 1.6 %, to 2.44 one of 2.4 %.
    (sentence,) = advice([2.5] * 50 + [2.46] * 50)

    assert sentence == (
        "the training loss hardly fell in the first 100 steps (2.5 to 2.46): train.learning_rate=1e-06 may be too low. "
        "Try three to ten times as much."
    )
    assert advice([2.5] * 50 + [2.44] * 50) == []


def test_a_short_training_is_not_judged() -> None:
    assert advice([2.5] * 99) == []
    assert advice([]) == []


def test_a_validation_loss_that_rises_while_the_training_loss_falls() -> None:
    (sentence,) = advice(FALLING, (40, 2.5), (80, 2.6), (120, 2.75))

    assert sentence == (
        "the validation loss rose from 2.5 after step 40 to 2.75 after step 120, while the training loss fell from "
        "2.41 to 0.81: the examples are learned by heart. Take fewer train.epochs or more lora.dropout."
    )


def test_where_the_best_weights_were_kept_the_advice_is_another() -> None:
    found = [Eval(index=1, step=40, loss=2.5), Eval(index=2, step=80, loss=2.6)]

    (sentence,) = curve_advice(FALLING, found, learning_rate=1e-6, keeps_best=True)

    assert sentence.endswith(
        "the examples are learned by heart. The weights after step 40 were kept; fewer train.epochs cost less, and "
        "with more lora.dropout they may get further."
    )


@pytest.mark.parametrize(
    "evals",
    [
        [(40, 2.5), (80, 2.4), (120, 2.3)],
        [(40, 2.5), (80, 2.9), (120, 2.4)],  # it came back
        [(40, 2.5), (120, 2.52)],  # 0.8 % is noise
        [(120, 2.5)],  # the end alone
    ],
)
def test_a_validation_loss_that_falls_in_the_end(evals: list[tuple[int, float]]) -> None:
    assert advice(FALLING, *evals) == []


def test_where_both_rise_it_is_not_learning_by_heart() -> None:
    assert advice([2.0] * 40 + [3.0] * 40, (40, 2.0), (80, 3.0)) == []
