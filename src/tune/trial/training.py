"""One adapter trained on a base, saved, and scored as it was saved; the base is left as it was."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune.config.digest import digest
from tune.config.schema import Config
from tune.errors import Pruned
from tune.model import adapt
from tune.model.targets import summary
from tune.track.recorder import RunRecorder
from tune.train.best import BestWeights
from tune.train.checkpoint import Checkpoints
from tune.train.evals import Eval
from tune.train.fit import Fitted, fit
from tune.train.watch import Follow
from tune.trial.bench import Bench
from tune.trial.measure import Measured, Progress, measure, validation_loss
from tune.trial.meter import Meter


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """What a study adds to a trial: it may stop it early, and try it again in the same folder."""

    whole_steps: Callable[[], AbstractContextManager[None]]
    """Inside this context the trial is stopped between two optimizer steps alone."""

    on_eval: Callable[[Sequence[Eval]], None] = lambda _: None
    """Is told all measurements of the validation loss so far after each one; may raise Pruned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What came of a training."""

    adapted: adapt.Adapted
    """Taken off the base again; what it was."""

    fitted: Fitted
    tuned: Measured
    """Scores of the adapted model."""

    checkpoints: Checkpoints
    """Left behind until the result is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """One training, and who hears of it."""

    config: Config
    bench: Bench
    folder: Path
    """Where the adapter and the checkpoints go."""

    recorder: RunRecorder
    on: Progress
    searched: Searched | None
    meter: Meter

    def run(self, rows: Any, *, fingerprint: str) -> Trained:
        """Train, save and score.

        Args:
            rows: Tokens to train on.
            fingerprint: Of the base's scores, which those of the adapted model will be compared with.

        Raises:
            TrialError: It ended without a result.
        """
        config, base, recipe = self.config, self.bench.base, self._recipe()
        checkpoints = Checkpoints(self.folder / "checkpoints", recipe=recipe, every_s=config.workers.checkpoint_s)
        adapted = adapt.attach(base, config.lora, seed=config.seed, rows=rows)
        try:
            self.recorder.tags({"tune.targets": summary(adapted.targets)})
            with self.meter.phase("train"), self.searched.whole_steps() if self.searched else nullcontext():
                follow = self._follow(adapted, checkpoints, recipe)
                fitted = fit(adapted.model, base.tokenizer, rows, config.train, seed=config.seed, follow=follow)
            adapted = adapt.settle(adapted)
            adapt.save(adapted, self.folder / "adapter")
            with self.meter.phase("evaluate"):
                tuned = measure(
                    adapted.model, base.tokenizer, config, self.bench.task, fingerprint=fingerprint, on=self.on
                )
        except Pruned:
            checkpoints.clear()
            raise
        finally:
            if not self.searched:  # nobody goes on with it
                checkpoints.clear()
            adapt.detach(adapted)
        return Trained(adapted=adapted, fitted=fitted, tuned=tuned, checkpoints=checkpoints)

    def _follow(self, adapted: adapt.Adapted, checkpoints: Checkpoints, recipe: str) -> Follow:
        base, task = self.bench.base, self.bench.task
        return Follow(
            on_step=self._on_step,
            course=adapted.course,
            checkpoints=checkpoints if self.searched else None,
            best=BestWeights(self.folder / "checkpoints", recipe=recipe),
            measure=validation_loss(adapted.model, base.tokenizer, self.config, task, on=self.on),
            on_eval=self._on_eval,
        )

    def _on_step(self, step: int, total: int, loss: float) -> None:
        self.recorder.metrics({"train/step_loss": loss}, step=step)
        self.on("train", step, total)

    def _on_eval(self, evals: Sequence[Eval]) -> None:
        self.recorder.metrics({"eval/step_loss": evals[-1].loss}, step=evals[-1].step)
        # A training that has ended is not stopped any more.
        if self.searched and evals[-1].index <= self.config.train.evals:
            self.searched.on_eval(evals)

    def _recipe(self) -> str:
        """Return the recipe of the checkpoints; what was written for other settings, data or weights is not used."""
        base, config = self.bench.base, self.config
        return digest(
            {
                "train": config.train,
                "lora": config.lora,
                "quantization": config.quantization,
                "seed": config.seed,
                "data": self.bench.task.splits.digests["train"],
                "weights": base.digest,
                "dtype": str(base.dtype),
                "template": str(base.tokenizer.chat_template),
                "learn": config.data.learn,
            }
        )
