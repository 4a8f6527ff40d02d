"""When the validation loss is measured during a training, and what was found."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Eval:
    """One measurement of the validation loss."""

    index: int
    """Which one: after index / (train.evals + 1) of the training; its end is train.evals + 1."""

    step: int
    """Optimizer step after which it was made."""

    loss: float
    """Nats a token of the answers."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def eval_steps(total: int, evals: int) -> dict[int, int]:
    """Return after which steps the validation loss is measured, and the index of each measurement.

    The indices divide the training into equal parts, whatever its length; what falls behind the last step is measured
    at the end anyway. A training of fewer steps leaves indices out.

    Args:
        total: Optimizer steps in all.
        evals: train.evals.
    """
    reached = {step: step * (evals + 1) // total for step in range(total)}
    return {step: index for step, index in reached.items() if step and index > reached[step - 1]}


class Evals:
    """The measurements of one training, made where they are due.

    Args:
        due: Of `eval_steps`.
        measure: Returns the validation loss as the model stands.
        on_eval: Is told all measurements so far after each one.
    """

    def __init__(
        self, due: dict[int, int], measure: Callable[[], float], on_eval: Callable[[Sequence[Eval]], None]
    ) -> None:
        self.found: list[Eval] = []
        self._due = due
        self._measure = measure
        self._on_eval = on_eval

    def after(self, step: int) -> None:
        """Measure where it is due after this step, and was not done before."""
        if step in self._due:
            self.now(step, index=self._due[step])

    def now(self, step: int, *, index: int) -> None:
        """Measure what this step has left, where that was not done before."""
        if all(known.step != step for known in self.found):
            self.found.append(Eval(index=index, step=step, loss=self._measure()))
            self._on_eval(tuple(self.found))
