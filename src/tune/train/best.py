"""The best weights of a training so far, beside its checkpoints: whole on disk, or not there.

    best-00000030/
        adapter.safetensors      what is trained, by parameter name
        course.safetensors       what the method goes by, where it has something
        manifest.json            checksums; written last

A checkpoint knows by its measurements which of them it counts on, and those stay as long as it does.
"""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tune.files import is_intact
from tune.train.checkpoint import Checkpoints, capture_weights, evals_until, restore_weights, write_whole
from tune.train.course import restore_course
from tune.train.evals import Eval
from tune.train.stopping import Stopping


class BestWeights:
    """What one trial may keep in the end.

    Args:
        folder: Holds one folder for each; the checkpoints' own.
        recipe: Digest of all that decides the training; what another recipe wrote is not used.
    """

    def __init__(self, folder: Path, *, recipe: str) -> None:
        self._folder = folder
        self._recipe = recipe

    def write(self, step: int, trainer: Any) -> None:
        """Keep the weights as they are after this optimizer step."""
        write_whole(self._place(step), self._recipe, lambda folder: capture_weights(trainer, folder))

    def has(self, step: int) -> bool:
        """Return whether those of this step are there and whole."""
        return is_intact(self._place(step), self._recipe)

    def restore(self, step: int, trainer: Any) -> None:
        """Give the model the weights of this step."""
        restore_weights(trainer, self._place(step))
        restore_course(trainer.course, self._place(step))

    def forget_all_but(self, steps: Collection[int]) -> None:
        """Remove those of other steps."""
        for place in self._folder.glob("best-*"):
            if place not in {self._place(step) for step in steps}:
                shutil.rmtree(place)

    def _place(self, step: int) -> Path:
        return self._folder / f"best-{step:08d}"


class Keeper:
    """Keeps the best weights of one training on the way, and gives them back at its end.

    Args:
        stopping: Says which are the best, and when the training is over.
        weights: Where they wait.
        checkpoints: Those of the training, where it leaves some.
    """

    def __init__(self, stopping: Stopping, weights: BestWeights, checkpoints: Checkpoints | None) -> None:
        self._stopping = stopping
        self._weights = weights
        self._checkpoints = checkpoints

    def is_over(self, found: Sequence[Eval]) -> bool:
        """Return whether the training is to end after these measurements."""
        return self._stopping.is_over(found)

    def after(self, found: Sequence[Eval], trainer: Any) -> None:
        """Keep the weights where the last of these measurements, made just now, is the best."""
        if self._stopping.best(found) is found[-1]:
            self._weights.write(found[-1].step, trainer)
            self.forget(found)

    def forget(self, found: Sequence[Eval]) -> None:
        """Remove the weights that neither these measurements nor those of a checkpoint count on."""
        whole = self._checkpoints.whole() if self._checkpoints else ()
        counted_on = [self._stopping.best(evals) for evals in (found, *map(evals_until, whole))]
        self._weights.forget_all_but({best.step for best in counted_on if best})

    def can_follow(self, checkpoint: Path) -> bool:
        """Return whether the best weights are there that a training needs in the end which goes on from here."""
        best = self._stopping.best(evals_until(checkpoint))
        return best is None or self._weights.has(best.step)

    def give_back(self, found: Sequence[Eval], trainer: Any) -> Eval | None:
        """Give the model the best weights, and return their measurement; None where none counts: then it has the last.

        Args:
            found: All measurements.
            trainer: Has made its last step.
        """
        best = self._stopping.best(found)
        if best and best.step != trainer.state.global_step:
            self._weights.restore(best.step, trainer)
        return best
