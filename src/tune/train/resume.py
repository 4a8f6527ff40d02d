"""How a transformers trainer goes on from our checkpoints: each part is read from our files instead of its pickles."""

from pathlib import Path
from typing import Any

from tune.train.checkpoint import restore_optimizer, restore_random, restore_weights
from tune.train.course import restore_course


def resuming(trainer: Any) -> Any:
    """Return a trainer's class that goes on from our checkpoints.

    Its instances want `course`, the method's own part or None, and `is_over`, which says whether no step is to be made
    after one.
    """

    class ResumingTrainer(trainer):  # type: ignore[misc] # transformers is late and untyped here
        """Goes on from our checkpoints."""

        def _run_epoch(self, **how: Any) -> None:
            """Do nothing where the training was over when it was left: transformers would make one more step."""
            if self.is_over(self.state.global_step):
                self.control.should_training_stop = True
            else:
                super()._run_epoch(**how)

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002
            restore_weights(self, Path(resume_from_checkpoint))
            restore_course(self.course, Path(resume_from_checkpoint))

        def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
            if checkpoint:
                restore_optimizer(self, Path(checkpoint))

        def _load_rng_state(self, checkpoint: str | None) -> None:
            if checkpoint:
                restore_random(Path(checkpoint))

        def _load_scaler(self, checkpoint: str | None) -> None:
            """Do nothing: no gradient is scaled here, and a scaler.pt would be unpickled."""

    return ResumingTrainer
