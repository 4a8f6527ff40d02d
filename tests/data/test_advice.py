"""What the size of a data set suggests, and when nothing is to be said."""

import pytest

from tune.data.advice import advise


def advice(
    *, n_train: int = 2_000, n_tokens: int = 100_000, steps_per_epoch: int = 125, epochs: float = 2, rank: int = 64
) -> list[str]:
    return advise(n_train=n_train, n_tokens=n_tokens, steps_per_epoch=steps_per_epoch, epochs=epochs, rank=rank)


def test_the_numbers_always_come_first() -> None:
    # 100,000 / 2,000 = 50 tokens a row; 125 * 2 steps; 100,000 * 2 tokens
    (said,) = advice()

    assert said == (
        "2,000 training rows hold 100,000 tokens, 50 a row: 125 steps an epoch; train.epochs=2 makes 250 steps and "
        "200,000 tokens in all."
    )


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"n_train": 499, "rank": 32}, "lora.rank=32 is much for 499 rows: under 500 a rank of 8 or 16"),
        ({"n_train": 499, "rank": 8, "epochs": 2.5}, "train.epochs=2.5 is much for 499 rows: under 500, 1 or 2 epochs"),
        ({"n_train": 50_001, "epochs": 1.5}, "train.epochs=1.5 is much for 50,001 rows: over 50,000, one epoch"),
        ({"epochs": 4}, "train.epochs=4: after 3 epochs over the same rows eval/loss usually rises"),
        ({"steps_per_epoch": 19, "epochs": 1}, "19 optimizer steps in all are few: under 20"),
        ({"steps_per_epoch": 1, "epochs": 0.2}, "1 optimizer step in all is few"),
    ],
)
def test_each_advice_has_the_numbers_in_it(case: dict[str, float], words: str) -> None:
    said = advice(**case)

    assert len(said) == 2
    assert words in said[1]


@pytest.mark.parametrize(
    "case",
    [
        {"n_train": 500, "rank": 256},
        {"n_train": 499, "rank": 16, "epochs": 2},
        {"n_train": 50_000, "epochs": 2},
        {"n_train": 50_001, "epochs": 1},
        {"epochs": 3},
        {"steps_per_epoch": 20, "epochs": 1},
    ],
)
def test_at_the_limit_nothing_is_advised(case: dict[str, float]) -> None:
    assert len(advice(**case)) == 1


def test_a_very_small_set_with_a_large_adapter_gets_every_advice_that_fits() -> None:
    assert len(advice(n_train=40, n_tokens=2_000, steps_per_epoch=3, epochs=5, rank=64)) == 4
