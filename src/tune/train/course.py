"""What a method does beside the optimizer while it is trained; the model side makes it, this side calls it."""

from pathlib import Path
from typing import Any, Protocol

_FILE = "course.safetensors"


class Course(Protocol):
    """A method's own part of a training."""

    def begin(self, n_steps: int) -> None:
        """Be told how many optimizer steps there will be; may raise ConfigError."""

    def penalty(self) -> Any:
        """Return what is to be minimised beside the loss; a scalar with a gradient."""

    def after_step(self, step: int) -> None:
        """Act after an optimizer step, the first of which is 1, while its gradients are there."""

    def state(self) -> dict[str, Any]:
        """Return its tensors for a checkpoint."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's tensors."""


def with_penalty(loss: Any, course: Course | None, *, n_batches: int) -> Any:
    """Return the loss with the gradient of the penalty added, but not its value: losses stay nats a token.

    Args:
        loss: Of one of the batches of a step.
        course: The method's part, or None.
        n_batches: Of the step; each brings an equal share of the penalty.
    """
    if course is None:
        return loss
    penalty = course.penalty() / n_batches
    return loss + (penalty - penalty.detach())


def after_steps(course: Course) -> Any:
    """Return a trainer callback that lets the method act after each optimizer step."""
    from transformers import TrainerCallback

    class AfterSteps(TrainerCallback):  # type: ignore[misc] # transformers is late and untyped here
        """Lets the method act."""

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            """Act: the step is made, not counted yet, and its gradients are there."""
            course.after_step(state.global_step + 1)

    return AfterSteps()


def write_course(course: Course | None, folder: Path) -> None:
    """Write the method's state into a checkpoint."""
    from safetensors.torch import save_file

    if course is not None:
        save_file({name: tensor.contiguous() for name, tensor in course.state().items()}, folder / _FILE)


def restore_course(course: Course | None, folder: Path) -> None:
    """Put the method's state back from a checkpoint."""
    from safetensors.torch import load_file

    if course is not None:
        course.restore(load_file(folder / _FILE))
