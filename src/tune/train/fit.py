"""Train an adapter with TRL on tokenised examples, and notice at once when it diverges."""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tune.config.recipe import TrainConfig
from tune.errors import Diverged
from tune.train.loss import answer_loss

Row = dict[str, list[int]]
"""input_ids and labels of one example, both (T,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """What training did."""

    steps: int
    """Optimizer steps."""

    losses: tuple[float, ...]
    """Training loss of each step, nats a token."""

    n_tokens: int
    """Tokens that went through the model, padding left out."""


def n_steps(train: TrainConfig, n_examples: int) -> int:
    """Return how many optimizer steps the training takes."""
    each_epoch = math.ceil(math.ceil(n_examples / train.batch_size) / train.accumulation)
    return train.max_steps or max(1, math.ceil(train.epochs * each_epoch))


def fit(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    train: TrainConfig,
    *,
    seed: int,
    on_step: Callable[[int, int, float], None],
) -> Fitted:
    """Train the adapter that is on the model, in place.

    Args:
        model: PEFT model; only its adapter asks for gradients.
        tokenizer: For the pad token.
        rows: Examples; labels of -100 are not learned from.
        train: The recipe.
        seed: Order of the examples and dropout.
        on_step: Is told (step, steps in all, loss) after each optimizer step; may raise to stop.

    Raises:
        Diverged: The loss or the gradient norm became NaN or infinite.
    """
    from datasets import Dataset

    total = n_steps(train, len(rows))
    watch = _watch(total, on_step)
    with tempfile.TemporaryDirectory(prefix="tune-") as folder, _own_forward(model):
        weights = [(parameter, parameter.data) for parameter in model.parameters() if parameter.requires_grad]
        trainer = _trainer_class()(
            model=model,
            args=_arguments(train, folder=folder, seed=seed, total=total, device=model.device.type),
            train_dataset=Dataset.from_list(list(rows)),
            processing_class=tokenizer,
            callbacks=[watch],
        )
        # TRL turns the adapter of a four-bit base to bfloat16, where a step below 1/256 of a weight is lost and
        # small learning rates look worse than they are.
        for parameter, data in weights:
            parameter.data = data
        for name in ("PrinterCallback", "ProgressCallback"):
            for callback in [c for c in trainer.callback_handler.callbacks if type(c).__name__ == name]:
                trainer.remove_callback(callback)
        trainer.train()
    model.eval()
    return Fitted(
        steps=trainer.state.global_step,
        losses=tuple(watch.losses),
        n_tokens=round(sum(len(row["input_ids"]) for row in rows) * trainer.state.epoch),
    )


@contextmanager
def _own_forward(model: Any) -> Iterator[None]:
    """Undo what SFTTrainer does to the base: it wraps `forward` anew each time, and here one base has many trials."""
    base = model.get_base_model()
    before = vars(base).get("forward")
    try:
        yield
    finally:
        vars(base).pop("forward", None)
        if before is not None:
            base.forward = before


def _trainer_class() -> Any:
    """Return TRL's trainer with a loss that does not make logits for the question."""
    from trl import SFTTrainer

    class AnswerTrainer(SFTTrainer):  # type: ignore[misc] # trl is late and untyped here
        """Takes the loss on the answer's tokens."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """Return the loss; see the superclass."""
            assert not return_outputs  # asked for by evaluation, which is not the trainer's work here
            return answer_loss(model, inputs, n_tokens=num_items_in_batch)

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
        optim="adamw_torch",
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


def _watch(total: int, on_step: Callable[[int, int, float], None]) -> Any:
    """Return a trainer callback that passes on each step's loss, and refuses one that is not finite."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc] # transformers is late and untyped here
        """Follows the loss."""

        def __init__(self) -> None:
            self.losses: list[float] = []

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:  # noqa: ARG002
            """Record one step's loss."""
            if not logs or "loss" not in logs:
                return
            loss, norm = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
            if not math.isfinite(loss) or not math.isfinite(norm):
                msg = f"loss {loss} and gradient norm {norm} at step {state.global_step} of {total}."
                raise Diverged(msg)
            self.losses.append(loss)
            on_step(state.global_step, total, loss)

    return Watch()
