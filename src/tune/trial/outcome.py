"""What a trial returns."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

SCORES, FINAL, OUTCOME = "scores.json", "final.json", "outcome.json"
"""Files of a trial's folder: scores example by example on validation, a finalist's on the test split, and this."""


class State(StrEnum):
    """How a trial ended."""

    complete = "complete"
    failed = "failed"
    pruned = "pruned"
    """The study's pruner stopped it on the way."""

    infeasible = "infeasible"
    """It cannot run on this machine, so the sampler is to look elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a trial ended, and what it found."""

    state: State

    metrics: dict[str, float] = field(default_factory=dict)
    """By the names of `tune.config.metrics`; empty when the trial failed. A pruned one has eval/step_loss, its last."""

    reason: str | None = None
    """One word for a trial without a result.

    diverged, nothing_learned, oom, timeout, disk, data, setup or bug, where the trial ended itself; lost or killed,
    where its process did; memory, where it was not launched because it would not fit; interrupted, where somebody
    asked it to stop; pruned, where the study's pruner did.
    """

    message: str = ""
    """What happened, in a sentence."""

    pruned_step: int | None = None
    """Optimizer step after which a pruned trial was stopped."""

    adapter: str | None = None
    """Folder of the adapter."""

    violations: dict[str, float] = field(default_factory=dict)
    """Guard's metric → how far the change is beyond its floor, 0 or less where it is not; the sampler is told."""

    notes: tuple[str, ...] = ()
    """What was left out, cut or chosen on the way."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)
