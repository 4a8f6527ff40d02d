"""A network that learns in nine steps, large enough for moments of eight bits: what trainings are compared on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedTokenizerFast

from tests.llama import llama
from tune.config.method import RATE_FACTOR
from tune.config.optimizer import Optimizer
from tune.config.recipe import TrainConfig
from tune.errors import Interrupted
from tune.train.checkpoint import Checkpoints
from tune.train.fit import Fitted, fit
from tune.train.watch import Follow

# Two batches an optimizer step, three steps an epoch, the last step of an epoch has one batch alone.
TRAIN = TrainConfig(batch_size=2, accumulation=2, epochs=3, weight_decay=0.1)
ROWS = Dataset.from_list(
    [{"input_ids": [4 + n, 5, 6 + n, 7, 8], "labels": [-100, -100, 6 + n, 7, 8]} for n in range(10)]
)

RATES = {
    Optimizer.adamw: 1e-2,
    Optimizer.adamw_8bit: 1e-2,
    Optimizer.paged_adamw_32bit: 1e-2,
    Optimizer.paged_adamw_8bit: 1e-2,
    Optimizer.adafactor: 1e-2,
    Optimizer.sgd: 1.0,
    Optimizer.galore: 0.3,
}
"""A rate at which the toy learns; an optimizer without one fails the tests."""


def network(*, width: int = 128, rank: int = 32) -> Any:
    model = llama(seed=0, width=width, spread=0.2)
    adapter = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.2, target_modules=["q_proj", "v_proj"])
    return get_peft_model(model, adapter)


def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models

    inner = Tokenizer(models.WordLevel({str(number): number for number in range(32)}, unk_token="0"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="0", eos_token="1")


def settings(optimizer: Optimizer, **more: Any) -> TrainConfig:
    if optimizer is Optimizer.galore:  # which is handed no decay; on the adapter's matrices, for want of whole ones
        more = {"galore_rank": 8, "weight_decay": 0.0} | more
    return replace(TRAIN, optimizer=optimizer, learning_rate=RATES[optimizer], **more)


@dataclass(frozen=True)
class Trained:
    fitted: Fitted
    weights: list[Any]
    """What was trained, on the processor."""


def train(
    recipe: TrainConfig,
    checkpoints: Checkpoints | None = None,
    *,
    stop_at: int | None = None,
    b_faster: float | None = None,
    start: Callable[[], Any] = network,
) -> Trained:
    """Train a fresh network, which another process would have."""

    def on_step(step: int, _total: int, _loss: float) -> None:
        if step == stop_at:
            msg = "preempted"
            raise Interrupted(msg)

    model = start()
    for name, parameter in model.named_parameters():
        if b_faster and ".lora_B." in name:
            setattr(parameter, RATE_FACTOR, b_faster)
    fitted = fit(model, tokenizer(), ROWS, recipe, seed=3, follow=Follow(on_step=on_step, checkpoints=checkpoints))
    return Trained(fitted, [p.detach().cpu() for _, p in sorted(model.named_parameters()) if p.requires_grad])


def same(one: Trained, other: Trained) -> bool:
    """Return whether two trainings had the same losses and ended with the same bits."""
    bits = all(torch.equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))
    return bits and one.fitted.losses == other.fitted.losses
