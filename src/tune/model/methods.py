"""What each method does to a plain low-rank adapter.

PiSSA and OLoRA begin A and B as a part of the weights, A0 and B0, and train what is left of W plus the adapter:

    (W - s B0 A0) x + s B A x

PEFT writes W - s B0 A0 into the base. Here the base is shared by many trials and its own scores are the
baseline, so its weights are left alone: a second, frozen adapter holds A0 and -B0. That is the same function
(without rounding what is left to the base's format, which for bfloat16 is coarser than an update), and at the
end both become one ordinary update of twice the rank, s [B, -B0] [A; A0].
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tune.config.method import BEGUN_FROM_WEIGHTS, RATE_FACTOR, Method
from tune.config.recipe import LoraConfig
from tune.errors import ConfigError, NothingLearned
from tune.model import eva, loftq

TRAINED, START = BOTH = "default", "start"
"""Names of PEFT adapters: what is trained, and the frozen -B0 A0."""

_A, _B = ".lora_A.weight", ".lora_B.weight"
_FAST_SVD = "pissa_niter_16"
"""Halko's randomised decomposition with 16 iterations, as PiSSA's authors do; what it misses stays in the frozen part.

On a 1536 x 576 matrix it takes 0.06 s, the full one 0.23 s (one core)."""


def peft_settings(lora: LoraConfig) -> dict[str, Any]:
    """Return what the method adds to PEFT's settings of a plain adapter."""
    return {"use_rslora": lora.method is Method.rslora, "use_dora": lora.method is Method.dora}


def check_layers(lora: LoraConfig, layers: list[Any]) -> None:
    """Refuse what the method cannot do with the shapes of these layers.

    Raises:
        ConfigError: The rank is above a layer's width, or a layer keeps its weight the other way round.
    """
    from transformers.pytorch_utils import Conv1D

    if lora.method is Method.eva:
        eva.check_rank(lora.rank, layers)
    if lora.method not in BEGUN_FROM_WEIGHTS:
        return
    narrowest = min(min(layer.weight.shape) for layer in layers)
    if lora.rank > narrowest:
        msg = (
            f"lora.rank={lora.rank} is not allowed with lora.method={lora.method}: the narrowest of the adapted layers "
            f"has {narrowest} directions to begin from. Take lora.rank={narrowest} or less, or lora=lora."
        )
        raise ConfigError(msg)
    if lora.method is Method.olora and any(isinstance(layer, Conv1D) for layer in layers):
        # PEFT 0.21 decomposes the weight as it lies; GPT-2's Conv1D keeps it as (in, out).
        msg = (
            "lora.method=olora is not allowed with this model: its layers keep their weights transposed (Conv1D), "
            "which PEFT's OLoRA does not know. Take lora=pissa or lora=lora."
        )
        raise ConfigError(msg)


def begin(model: Any, lora: LoraConfig, *, folder: Path | None, rows: Any, seed: int) -> None:
    """Give a fresh PEFT adapter the start and the learning rates of its method; the base's weights stay as they are.

    Args:
        model: PEFT model.
        lora: Its settings.
        folder: Of the base; LoftQ reads its weights.
        rows: Training rows, which EVA looks at.
        seed: Draws what a method has to draw.
    """
    if lora.method is Method.loftq:
        assert folder is not None
        loftq.begin(model, folder)
    if lora.method is Method.eva:
        assert rows is not None, "EVA begins from the training rows"
        eva.begin(model, rows, rank=lora.rank, seed=seed)
    if lora.method in BEGUN_FROM_WEIGHTS:
        _begin_from_weights(model, lora.method)
    if lora.method is Method.lora_plus:
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                setattr(parameter, RATE_FACTOR, lora.plus_ratio)


def has_start(model: Any) -> bool:
    """Return whether the adapter is trained against a frozen start, so that `one_update` has something to do."""
    return START in model.peft_config


def one_update(weights: dict[str, Any], start: dict[str, Any]) -> dict[str, Any]:
    """Return A (2 r, in) and B (out, 2 r) whose product is that of what was trained and of the frozen start.

    Args:
        weights: A (r, in) and B (out, r) of every layer.
        start: The same of the frozen start, under the same names.

    Raises:
        NothingLearned: Both cancel out everywhere.
    """
    import torch

    if all(torch.equal(weights[name], -start[name] if name.endswith(_B) else start[name]) for name in weights):
        raise nothing_learned()
    return {
        name: torch.cat([tensor, start[name]], dim=1 if name.endswith(_B) else 0).contiguous()
        for name, tensor in weights.items()
    }


def nothing_learned() -> NothingLearned:
    """Return the error of an adapter that was trained to no effect."""
    return NothingLearned(
        "A and B are where they began, so the adapter changes nothing: not saved. No optimizer step reached it; "
        "look at train.learning_rate and train.max_steps, and whether any reply token is left to learn from."
    )


def twice_the_rank(config: Any) -> Any:
    """Return PEFT's settings for what `one_update` makes: the same scale, twice the rank."""
    return replace(config, r=2 * config.r, lora_alpha=2 * config.lora_alpha)


def _begin_from_weights(model: Any, method: Method) -> None:
    import torch

    # It has no dropout: W - s B0 A0 stands for weights, which are never dropped.
    model.add_adapter(START, replace(model.peft_config[TRAINED], lora_dropout=0.0))
    with torch.no_grad():
        for layer in _layers(model):
            _decompose(layer, method)
            layer.lora_A[START].weight.copy_(layer.lora_A[TRAINED].weight)
            layer.lora_B[START].weight.copy_(-layer.lora_B[TRAINED].weight)
    model.base_model.set_adapter([TRAINED, START])
    for layer in _layers(model):
        layer.lora_A[START].requires_grad_(requires_grad=False)
        layer.lora_B[START].requires_grad_(requires_grad=False)


def _decompose(layer: Any, method: Method) -> None:
    """Let PEFT begin one layer's A and B from its weight, and give it the weight back."""
    weight = layer.get_base_layer().weight
    own = weight.data
    weight.data = own.clone()  # OLoRA subtracts in place
    try:
        if method is Method.pissa:
            layer.pissa_init(TRAINED, _FAST_SVD)
        else:
            layer.olora_init(TRAINED)
    finally:
        weight.data = own
    for matrix in (layer.lora_A[TRAINED].weight, layer.lora_B[TRAINED].weight):
        matrix.data = matrix.data.contiguous()


def _layers(model: Any) -> Iterator[Any]:
    from peft.tuners.lora import LoraLayer

    return (module for module in model.modules() if isinstance(module, LoraLayer))
