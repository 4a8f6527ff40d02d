"""Train an adapter, or all of a model, with TRL on tokenised examples, and notice at once when it diverges."""

import math
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune.config.recipe import TrainConfig
from tune.train.best import Keeper
from tune.train.checkpoint import Checkpoints, evals_until, losses_until
from tune.train.course import after_steps, with_penalty
from tune.train.evals import Eval
from tune.train.loss import answer_loss
from tune.train.optimizer import check_device, check_projected, forget, trainer_arguments
from tune.train.rates import with_own_rates
from tune.train.resume import resuming
from tune.train.stopping import stopping_of
from tune.train.watch import Follow, watcher

_SPECIAL_TOKENS = ("eos_token_id", "bos_token_id", "pad_token_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """What training did."""

    steps: int
    """Optimizer steps that were made."""

    planned_steps: int
    """Optimizer steps that there would have been without an early end."""

    losses: tuple[float, ...]
    """Training loss of each step, nats a token."""

    evals: tuple[Eval, ...]
    """Measurements of the validation loss on the way; of the end too where it might have ended early."""

    kept: Eval | None
    """The measurement whose weights the model has now; None where it simply has the last ones."""

    n_tokens: int
    """Tokens that went through the model, padding left out."""


def n_steps(train: TrainConfig, n_examples: int) -> int:
    """Return how many optimizer steps the training takes."""
    return train.max_steps or max(1, math.ceil(train.epochs * steps_an_epoch(train, n_examples)))


def steps_an_epoch(train: TrainConfig, n_examples: int) -> int:
    """Return how many optimizer steps go over the examples once."""
    return math.ceil(math.ceil(n_examples / train.batch_size) / train.accumulation)


def fit(
    model: Any,
    tokenizer: Any,
    rows: Any,
    train: TrainConfig,
    *,
    seed: int,
    follow: Follow,
) -> Fitted:
    """Train the adapter that is on the model, in place; go on from the newest checkpoint where there is one.

    Where the recipe lets a training end early, the model has the weights of its lowest validation loss afterwards.

    Args:
        model: PEFT model, only its adapter asks for gradients; or a model whose own weights do.
        tokenizer: For the pad token.
        rows: `datasets.Dataset` of input_ids and labels, (T,) each; labels of -100 are not learned from.
        train: The recipe.
        seed: Order of the examples and dropout.
        follow: Is told each step's loss, where to go on from and what to leave behind, and the method's own part.

    Raises:
        ConfigError: The method cannot do with so few steps, or the optimizer needs a GPU or other layers.
        Diverged: The loss or the gradient norm became NaN or infinite.
    """
    check_device(train.optimizer, model.device.type)
    total = n_steps(train, len(rows))
    keeper = _keeper(train, follow)
    watch = watcher(total, follow, evals=train.evals, keeper=keeper)
    course = follow.course
    if course:
        course.begin(total)
    with tempfile.TemporaryDirectory(prefix="tune-") as folder, _own_forward(model):
        trainer = _trainer(
            model,
            args=_arguments(train, folder=folder, seed=seed, total=total, device=model.device.type),
            train_dataset=rows,
            processing_class=tokenizer,
            callbacks=[*([after_steps(course)] if course else []), watch],
        )
        watch.trainer, trainer.course, trainer.is_over = trainer, course, watch.is_over
        came_from = _newest(follow.checkpoints, keeper)
        if came_from:
            watch.losses, watch.evals.found = losses_until(came_from), evals_until(came_from)
        try:
            trainer.train(resume_from_checkpoint=str(came_from) if came_from else None)
        finally:
            forget(trainer.optimizer)
        kept = keeper.give_back(watch.evals.found, trainer) if keeper else None
    model.eval()
    return Fitted(
        steps=trainer.state.global_step,
        planned_steps=total,
        losses=tuple(watch.losses),
        evals=tuple(watch.evals.found),
        kept=kept,
        n_tokens=round(_n_tokens(rows) * trainer.state.epoch),
    )


def _trainer(model: Any, **settings: Any) -> Any:
    """Return the trainer, silent, with the weights that are trained in the number format that they had."""
    weights = [(parameter, parameter.data) for parameter in model.parameters() if parameter.requires_grad]
    trainer = _trainer_class()(model=model, **settings)
    # TRL turns the adapter of a four-bit base to bfloat16, where a step below 1/256 of a weight is lost and
    # small learning rates look worse than they are.
    for parameter, data in weights:
        parameter.data = data
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ in {"PrinterCallback", "ProgressCallback"}:
            trainer.remove_callback(callback)
    return trainer


def _keeper(train: TrainConfig, follow: Follow) -> Keeper | None:
    stopping = stopping_of(train)
    if stopping is None:
        return None
    assert follow.best is not None, "a training that may end early keeps its best weights"
    return Keeper(stopping, follow.best, follow.checkpoints)


def _newest(checkpoints: Checkpoints | None, keeper: Keeper | None) -> Path | None:
    if checkpoints is None:
        return None
    return checkpoints.newest(keeper.can_follow) if keeper else checkpoints.newest()


def _n_tokens(rows: Any) -> int:
    from pyarrow import compute

    return int(compute.sum(compute.list_value_length(rows.data.column("input_ids"))).as_py())


@contextmanager
def _own_forward(model: Any) -> Iterator[None]:
    """Undo what SFTTrainer does to the base, which has many trials here: it wraps `forward` anew each time.

    And transformers adds the tokenizer's special tokens to the model's settings. The base was scored without them, and
    generation that is not told where to end would end elsewhere for the adapted model.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model  # all its own weights are trained
    before = vars(base).get("forward")
    settings = [kept for kept in (base.config.get_text_config(), base.generation_config) if kept is not None]
    tokens = [(kept, name, getattr(kept, name, None)) for kept in settings for name in _SPECIAL_TOKENS]
    try:
        yield
    finally:
        for kept, name, token in tokens:
            setattr(kept, name, token)
        vars(base).pop("forward", None)
        if before is not None:
            base.forward = before


def _trainer_class() -> Any:
    """Return TRL's trainer with a loss that does not make logits for the question, and checkpoints without pickles."""
    from trl import SFTTrainer

    class AnswerTrainer(resuming(SFTTrainer)):  # type: ignore[misc] # trl is late and untyped here
        """Takes the loss on the answer's tokens."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """Return the loss; see the superclass."""
            assert not return_outputs  # asked for by evaluation, which is not the trainer's work here
            loss = answer_loss(model, inputs, n_tokens=num_items_in_batch)
            return with_penalty(loss, self.course, n_batches=self.current_gradient_accumulation_steps)

        def create_optimizer(self, model: Any = None) -> Any:
            """Return the optimizer, with the learning rates that a method asked for."""
            there_is_one = self.optimizer is not None
            with warnings.catch_warnings():
                # GaLore's own AdamW is a copy of transformers' old one, and warns of itself as that did.
                warnings.filterwarnings("ignore", "This implementation of AdamW is deprecated", FutureWarning)
                optimizer = super().create_optimizer(model)
            check_projected(optimizer, self.model)
            return optimizer if there_is_one else with_own_rates(optimizer)

    return AnswerTrainer


def _arguments(train: TrainConfig, *, folder: str, seed: int, total: int, device: str) -> Any:
    from trl import SFTConfig

    return SFTConfig(
        output_dir=folder,
        max_steps=total,
        learning_rate=train.learning_rate,
        lr_scheduler_type=train.schedule.value,
        warmup_steps=math.ceil(train.warmup_share * total) if train.warmup_share else 0,
        per_device_train_batch_size=train.batch_size,
        gradient_accumulation_steps=train.accumulation,
        weight_decay=train.weight_decay,
        max_grad_norm=train.max_grad_norm,
        max_length=train.max_length,
        activation_checkpointing=train.gradient_checkpointing,
        **trainer_arguments(train),
        bf16=False,  # the base has the format of model.dtype and the adapter float32; no autocast on top
        use_cpu=device == "cpu",
        seed=seed,
        data_seed=seed,
        logging_steps=1,
        logging_nan_inf_filter=False,  # else a NaN is shown as the last finite loss
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=device == "cuda",
        dataset_kwargs={"skip_prepare_dataset": True},
    )
