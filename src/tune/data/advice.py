"""What the size of a data set suggests; told once, never applied."""

from collections.abc import Iterator

SMALL = 500
"""Training rows below which few parameters and few epochs are enough."""

LARGE = 50_000
"""Training rows above which one epoch is usually enough."""

LOW_RANK = 16
"""Largest rank that is called low."""

FEW_STEPS = 20
"""Optimizer steps below which a schedule with a warm-up has no time to do its work."""


def advise(*, n_train: int, n_tokens: int, steps_per_epoch: int, epochs: float, rank: int) -> list[str]:
    """Return what is trained on, in numbers, and then what its size suggests, one sentence or two an item.

    Args:
        n_train: Training rows, at least 1.
        n_tokens: Tokens of all training rows, once.
        steps_per_epoch: Optimizer steps that go over them once.
        epochs: `train.epochs`.
        rank: `lora.rank`.

    Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 7.2 (a very low rank is often enough); Dettmers
    et al. 2023, https://arxiv.org/abs/2305.14314 (the rank mattered little once every linear layer had an adapter);
    Zhou et al. 2023, https://arxiv.org/abs/2305.11206 (1,000 well-chosen rows, and a validation loss that no longer
    tells which checkpoint answers best); Ouyang et al. 2022, https://arxiv.org/abs/2203.02155 (validation loss rose
    after one epoch of supervised fine-tuning). The limits in numbers are rules of thumb.
    """
    steps = max(1, round(steps_per_epoch * epochs))
    size = (
        f"{n_train:,} training rows hold {n_tokens:,} tokens, {n_tokens / n_train:,.0f} a row: {steps_per_epoch:,} "
        f"steps an epoch; train.epochs={epochs:g} makes {steps:,} steps and {round(n_tokens * epochs):,} tokens in all."
    )
    return [size, *_on_rank(n_train, rank), *_on_epochs(n_train, epochs), *_on_steps(steps)]


def _on_rank(n_train: int, rank: int) -> Iterator[str]:
    if n_train < SMALL and rank > LOW_RANK:
        yield (
            f"lora.rank={rank} is much for {n_train:,} rows: under {SMALL} a rank of 8 or {LOW_RANK} is usually "
            "enough, and a larger one learns the rows by heart sooner."
        )


def _on_epochs(n_train: int, epochs: float) -> Iterator[str]:
    if n_train < SMALL and epochs > 2:  # noqa: PLR2004 - in the sentence
        yield (
            f"train.epochs={epochs:g} is much for {n_train:,} rows: under {SMALL}, 1 or 2 epochs are usually enough. "
            "Watch whether eval/loss rises while train/loss falls."
        )
    elif n_train > LARGE and epochs > 1:
        yield f"train.epochs={epochs:g} is much for {n_train:,} rows: over {LARGE:,}, one epoch is usually enough."
    elif epochs > 3:  # noqa: PLR2004 - in the sentence
        yield f"train.epochs={epochs:g}: after 3 epochs over the same rows eval/loss usually rises. Compare with fewer."


def _on_steps(steps: int) -> Iterator[str]:
    if steps < FEW_STEPS:
        yield (
            f"{steps} optimizer step{'s' * (steps > 1)} in all {'are' if steps > 1 else 'is'} few: under {FEW_STEPS} "
            "the learning rate hardly warms up. Take a smaller train.batch_size or train.accumulation, more epochs, "
            "or more rows."
        )
