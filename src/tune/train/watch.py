"""Follows a training: passes on each step's loss, measures on the way, ends it early, and leaves checkpoints behind."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tune.errors import Diverged, Interrupted
from tune.train.best import BestWeights, Keeper
from tune.train.checkpoint import Checkpoints, capture
from tune.train.course import Course
from tune.train.evals import Eval, Evals, eval_steps


@dataclass(frozen=True, kw_only=True, slots=True)
class Follow:
    """Who follows a training."""

    on_step: Callable[[int, int, float], None]
    """Is told (step, steps in all, loss) after each optimizer step; may raise to stop."""

    course: Course | None = None
    """What the adapter's method does beside the optimizer."""

    checkpoints: Checkpoints | None = None
    """Where to go on from, and what to leave behind: now and then, and where anything here raises Interrupted."""

    best: BestWeights | None = None
    """Where the best weights wait until the end; needed where a training may end early."""

    measure: Callable[[], float] = lambda: math.nan
    """Returns the validation loss, nats a token; draws no random numbers and leaves the model in its mode."""

    on_eval: Callable[[Sequence[Eval]], None] = lambda _: None
    """Is told all measurements so far after each one, those before a checkpoint too; may raise to stop.

    The end is measured where a training may end early, and is told too.
    """


class Watcher:
    """Follows a training; transformers calls it as one of its callbacks.

    Args:
        total: Optimizer steps in all.
        follow: Is told what happens.
        evals: How often the validation loss is measured on the way.
        keeper: Knows when the training is over before its steps are used, and keeps its best weights.
    """

    trainer: Any = None
    """To be set before the training starts."""

    def __init__(self, total: int, follow: Follow, *, evals: int, keeper: Keeper | None) -> None:
        self.losses: list[float] = []
        self.evals = Evals(eval_steps(total, evals), follow.measure, self._told)
        self._total = total
        self._follow = follow
        self._end = evals + 1
        self._keeper = keeper
        self._kept = time.monotonic()

    def is_over(self, step: int) -> bool:
        """Return whether no step is to be made after this one."""
        return step >= self._total or (self._keeper is not None and self._keeper.is_over(self.evals.found))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:  # noqa: ARG002
        """Take one step's loss; the step is whole here, so a checkpoint may be taken too."""
        if not logs or "loss" not in logs:
            return
        step, loss = state.global_step, float(logs["loss"])
        _refuse_divergence(loss, float(logs["grad_norm"]), f"step {step} of {self._total}")
        self.losses.append(loss)
        try:
            self._follow.on_step(step, self._total, loss)
            self.evals.after(step)
        except Interrupted:
            self._keep(step)
            raise
        control.should_training_stop |= self.is_over(step)
        if self._follow.checkpoints and time.monotonic() - self._kept >= self._follow.checkpoints.every_s:
            self._keep(step)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Make up for a measurement that was due when the training was stopped."""
        self.evals.after(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Keep the end too: what comes after may take longer than the training."""
        try:
            if self._keeper:  # it may be the best
                self.evals.now(state.global_step, index=self._end)
        finally:
            self._keep(state.global_step)

    def _told(self, found: Sequence[Eval]) -> None:
        # Weights first: whoever goes on after an interruption knows of this measurement, and does not make it again.
        if self._keeper:
            self._keeper.after(found, self.trainer)
        self._follow.on_eval(found)

    def _keep(self, step: int) -> None:
        if self._follow.checkpoints:
            losses, evals = self.losses, self.evals.found
            self._follow.checkpoints.write(
                step, lambda folder: capture(self.trainer, folder, losses=losses, evals=evals)
            )
        if self._keeper:
            self._keeper.forget(self.evals.found)
        self._kept = time.monotonic()


def watcher(total: int, follow: Follow, *, evals: int = 0, keeper: Keeper | None = None) -> Any:
    """Return a trainer callback that is a `Watcher`; see there."""
    from transformers import TrainerCallback

    class WatcherCallback(Watcher, TrainerCallback):  # type: ignore[misc] # transformers is late and untyped here
        """Follows the training."""

    return WatcherCallback(total, follow, evals=evals, keeper=keeper)


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
