"""When a training ends early and which of its weights are the best, from its measurements alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tune.config.recipe import Schedule, TrainConfig
from tune.train.evals import Eval


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopping:
    """A rule that gives the same answers to the same measurements, whoever asks and however often."""

    patience: int
    """Measurements in a row without a lower loss, after which the training is over."""

    least_gain: float
    """By how much a loss must be below the lowest so far to count as lower, nats a token."""

    idle_steps: int
    """Steps at the start that change no weight; what is measured after them is the base."""

    def best(self, evals: Sequence[Eval]) -> Eval | None:
        """Return the lowest measurement, the first of equals; None where none counts."""
        return min(self._counted(evals), key=lambda each: each.loss, default=None)

    def is_over(self, evals: Sequence[Eval]) -> bool:
        """Return whether the training is to end after these measurements."""
        lowest, n_without = math.inf, 0
        for each in self._counted(evals):
            is_lower = each.loss < lowest - self.least_gain
            lowest, n_without = (each.loss, 0) if is_lower else (lowest, n_without + 1)
        return n_without >= self.patience

    def _counted(self, evals: Sequence[Eval]) -> list[Eval]:
        return [each for each in evals if each.step > self.idle_steps]


def stopping_of(train: TrainConfig) -> Stopping | None:
    """Return the rule of a recipe, or None where the training takes all its steps and keeps the last weights."""
    wanted = train.early_stopping
    if wanted.patience is None:
        return None
    warms_up = train.warmup_share > 0 and train.schedule is not Schedule.constant  # transformers' constant has none
    # The first step of a warm-up has a rate of 0. An adapter that changes nothing is never kept: it is no result, and
    # a trial whose loss only rises is to be told to the sampler with its best, not as a failure.
    return Stopping(patience=wanted.patience, least_gain=wanted.least_gain, idle_steps=int(warms_up))
