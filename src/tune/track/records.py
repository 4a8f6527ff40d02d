"""A study as it stands: what its storage knows of each trial, in plain data that reports are made from."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRecord:
    """One trial."""

    number: int
    state: str
    """waiting, running, complete, pruned or failed."""

    reason: str | None
    """Why it failed, in one word."""

    message: str
    """Why it failed, in a sentence."""

    seed: int
    parameters: dict[str, Any]
    """What varies, by key, with the values that were run."""

    metrics: dict[str, float]
    run_id: str | None
    """Its run in MLflow."""

    notes: tuple[str, ...]
    """What was left out or chosen on the way."""

    command: str
    """Repeats it."""

    @property
    def cost(self) -> dict[str, float]:
        """Return its costs by name: seconds, peak_gib, trainable_params, train_tokens."""
        return {name[5:]: value for name, value in self.metrics.items() if name.startswith("cost/")}


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRecord:
    """One study."""

    name: str
    question: str
    metric: str
    """The objective."""

    direction: str
    """maximize or minimize."""

    n_trials: int
    """How many are wanted in all."""

    confidence: float
    """Probability that its intervals are meant to cover."""

    run_id: str | None
    """Its parent run in MLflow."""

    trials: tuple[TrialRecord, ...]

    def counts(self) -> dict[str, int]:
        """Return how many trials are in each state."""
        states = ("waiting", "running", "complete", "pruned", "failed")
        return {state: sum(trial.state == state for trial in self.trials) for state in states}

    @property
    def done(self) -> int:
        """Return how many trials have ended."""
        counts = self.counts()
        return counts["complete"] + counts["pruned"] + counts["failed"]

    def ranked(self) -> list[TrialRecord]:
        """Return the complete trials, best first."""
        sign = -1 if self.direction == "maximize" else 1
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return sorted(complete, key=lambda trial: (sign * trial.metrics[self.metric], trial.number))

    def to_json(self) -> dict[str, Any]:
        """Return the stable form for other programs."""
        trials = [{**asdict(trial), "cost": trial.cost} for trial in self.trials]
        return {
            "study": self.name,
            "objective": {"metric": self.metric, "direction": self.direction},
            "n_trials": self.n_trials,
            "states": self.counts(),
            "run_id": self.run_id,
            "trials": trials,
        }
