"""The same training in smaller pieces, for a trial that ran out of memory."""

from typing import Any

from tune.config.schema import Config


def smaller(config: Config) -> dict[str, Any] | None:
    """Return the settings that take less memory for the same steps; None where there are none.

    A step's loss is the mean over the tokens of all its passes, so how many rows a pass has changes rounding alone (and
    the random numbers of dropout). Of a batch of one row, the activations can still be recomputed.
    """
    train = config.train
    batch, passes, recompute = train.batch_size, train.accumulation, train.gradient_checkpointing
    if batch > 1:
        parts = next(n for n in range(2, batch + 1) if batch % n == 0)
        batch, passes = batch // parts, passes * parts
    elif not recompute:
        recompute = True
    else:
        return None
    return {"train.batch_size": batch, "train.accumulation": passes, "train.gradient_checkpointing": recompute}


def in_words(reduced: dict[str, Any]) -> str:
    """Return such settings as they stand in a command."""
    return " ".join(f"{key}={str(value).lower()}" for key, value in reduced.items())
