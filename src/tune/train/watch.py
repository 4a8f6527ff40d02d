"""Follows a training: passes on each step's loss, stops where it is not finite, and leaves checkpoints behind."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tune.errors import Diverged, Interrupted
from tune.train.checkpoint import Checkpoints, capture
from tune.train.course import Course


@dataclass(frozen=True, kw_only=True, slots=True)
class Follow:
    """Who follows a training."""

    on_step: Callable[[int, int, float], None]
    """Is told (step, steps in all, loss) after each optimizer step; may raise to stop."""

    course: Course | None = None
    """What the adapter's method does beside the optimizer."""

    checkpoints: Checkpoints | None = None
    """Where to go on from, and what to leave behind: now and then, and where `on_step` raises Interrupted."""


def watcher(total: int, follow: Follow) -> Any:
    """Return a trainer callback; its attribute `trainer` is to be set before the training starts."""
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc] # transformers is late and untyped here
        """Follows the loss."""

        def __init__(self) -> None:
            self.losses: list[float] = []
            self.trainer: Any = None
            self._kept = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:  # noqa: ARG002
            """Take one step's loss; the step is whole here, so a checkpoint may be taken too."""
            if not logs or "loss" not in logs:
                return
            _refuse_divergence(float(logs["loss"]), float(logs["grad_norm"]), f"step {state.global_step} of {total}")
            loss = float(logs["loss"])
            self.losses.append(loss)
            try:
                follow.on_step(state.global_step, total, loss)
            except Interrupted:
                self._keep(state.global_step)
                raise
            if follow.checkpoints and time.monotonic() - self._kept >= follow.checkpoints.every_s:
                self._keep(state.global_step)

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            """Keep the end too: what comes after may take longer than the training."""
            self._keep(state.global_step)

        def _keep(self, step: int) -> None:
            if follow.checkpoints:
                follow.checkpoints.write(step, lambda folder: capture(self.trainer, folder, losses=self.losses))
            self._kept = time.monotonic()

    return Watcher()


def _refuse_divergence(loss: float, norm: float, where: str) -> None:
    """Stop where nothing more can come of a training.

    Raises:
        Diverged: The loss or the gradient norm is NaN or infinite; or no gradient is left although there is a loss.
    """
    if not math.isfinite(loss) or not math.isfinite(norm):
        msg = f"loss {loss} and gradient norm {norm} at {where}."
        raise Diverged(msg)
    if loss > 0 and norm == 0:
        # RMSNorm hides an overflow: x / inf is 0, every token is as likely as any other, and the loss is a fair number.
        msg = f"loss {loss} without any gradient at {where}: the activations overflowed. Lower train.learning_rate."
        raise Diverged(msg)
