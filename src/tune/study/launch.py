"""Whether a trial is launched: not where no such trial can run, or it would need clearly more memory than there is."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tune.config import rules
from tune.config.metrics import ESTIMATED_GIB, PEAK_GIB
from tune.config.model import Device
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.study.attempts import FORBIDDEN
from tune.study.machine import memory_limit, n_gpus
from tune.study.space import Point, configured
from tune.trial.outcome import Outcome, State
from tune.trial.task import Task

UNTRIED = 1.2
"""An estimate is believed where it is so many times the limit; those compared were 9 % too low to 15 % too high."""

TRIED = 1.1
"""The same where trials of the study were measured, and what they held corrects the estimate."""

_FEWEST = 3
_MOST_CORRECTED = 1.25
"""A correction beyond this, or below its inverse, is no correction but another mistake."""

_GIB = 1024**3
_PARTS = ("weights", "adapter", "gradients", "optimizer", "activations", "logits", "evaluation", "heap", "overhead")
_N_PARTS = 3


def forbidden(config: Config, point: Point) -> Outcome | None:
    """Return how a trial ends whose values do not go together; None where they do.

    When a space is read, each of its values is tried out, and not every combination.

    Args:
        config: Of the study.
        point: What the trial was given.
    """
    try:
        rules.check(configured(config, point))
    except ConfigError as error:
        message = f"it was not launched: {error} With sweep.reject such points are not drawn."
        return Outcome(state=State.infeasible, reason=FORBIDDEN, message=message)
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreseen:
    """What is known of a trial before it is launched."""

    refusal: Outcome | None = None
    """How it ends where it is not launched."""

    gib: float | None = None
    """The estimate; None where there is none."""

    note: str | None = None
    """Why there is none."""

    def told_with(self, outcome: Outcome) -> Outcome:
        """Return how the trial ended, and what was foreseen."""
        metrics = {} if self.gib is None else {ESTIMATED_GIB: self.gib}
        notes = (self.note,) if self.note else ()
        return replace(outcome, metrics={**outcome.metrics, **metrics}, notes=(*outcome.notes, *notes))


@dataclass(slots=True)
class Launcher:
    """Decides for the trials of one process."""

    _forecaster: Any = field(default=None)

    def foresee(
        self, config: Config, task: Task, folder: Path, *, seen: Sequence[Mapping[str, float]] = ()
    ) -> Foreseen:
        """Return whether a trial fits; where its memory cannot be estimated, it is launched.

        Args:
            config: The trial's whole configuration.
            task: Its data and questions.
            folder: Of its model.
            seen: Metrics of the study's trials.
        """
        from tune.trial.forecast import Forecaster

        self._forecaster = self._forecaster or Forecaster()
        try:
            found = self._forecaster.estimate(config, task, folder)
        except Exception as error:  # noqa: BLE001 - what only foretells must not end a trial that may run well
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            return Foreseen(note=f"launched without knowing whether it fits: {why}")
        limit, whose = _limit(config)
        corrected = correction(seen)
        # The kernel takes mapped pages back before memory runs out.
        needed = found.peak * (corrected or 1.0) - found.mapped
        if needed <= (TRIED if corrected else UNTRIED) * limit:
            return Foreseen(gib=found.peak)
        parts = {name: size for name, size in asdict(found).items() if name in _PARTS}
        message = (
            f"it was not launched: it would hold about {needed:.1f} GiB ({_largest(parts)}), and {whose} "
            f"{limit:.1f}. Take a smaller train.batch_size with more train.accumulation, "
            "train.gradient_checkpointing=true or quantization=nf4, or give it more memory (workers.memory_gib, "
            "fewer workers.count)."
        )
        refusal = Outcome(state=State.infeasible, reason="memory", message=message, metrics={ESTIMATED_GIB: found.peak})
        return Foreseen(gib=found.peak, refusal=refusal)


def correction(seen: Sequence[Mapping[str, float]]) -> float | None:
    """Return what estimates are to be multiplied with; None where fewer than three trials were measured."""
    # A trial that took another's result has its numbers too.
    pairs = {(one[PEAK_GIB], one[ESTIMATED_GIB]) for one in seen if PEAK_GIB in one and ESTIMATED_GIB in one}
    if len(pairs) < _FEWEST:
        return None
    median = statistics.median(peak / estimated for peak, estimated in pairs)
    return min(_MOST_CORRECTED, max(1 / _MOST_CORRECTED, median))


def _largest(parts: dict[str, float]) -> str:
    most = sorted(parts, key=lambda name: -parts[name])[:_N_PARTS]
    return ", ".join(f"{name} {parts[name]:.1f}" for name in most)


def _limit(config: Config) -> tuple[float, str]:
    """Return the GiB that a trial may hold where its model is, and what gives them."""
    if n_gpus() and config.model.device is not Device.cpu:
        import torch

        if torch.cuda.is_available():  # the one that this worker was given
            return torch.cuda.get_device_properties(0).total_memory / _GIB, "its GPU has"
    whose = "workers.memory_gib is" if config.workers.memory_gib is not None else "a worker's share of this machine is"
    return memory_limit(config) / _GIB, whose
