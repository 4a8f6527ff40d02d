"""What PEFT is told of an adapter around chosen layers, and PEFT's model."""

import warnings
from collections.abc import Mapping
from typing import Any

from tune.config.method import Method
from tune.config.recipe import LoraConfig
from tune.config.targets import read_pattern
from tune.model import adalora, methods
from tune.model.quantize import import_quietly
from tune.model.targets import assign


def named_layers(network: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the layers whose names end so, by full name."""
    endings = tuple(f".{name}" for name in names)
    return {name: module for name, module in network.named_modules() if f".{name}".endswith(endings)}


def layer_settings(
    network: Any, lora: LoraConfig, names: tuple[str, ...], layers: Mapping[str, Any], *, seed: int
) -> Any:
    """Return PEFT's settings.

    Args:
        network: The base.
        lora: The adapter's settings.
        names: Endings of the names of the adapted layers.
        layers: These, by full name.
        seed: Of the matrices that a method draws and freezes.

    Raises:
        ConfigError: A part of a pattern fits none of the layers.
    """
    import_quietly()
    from peft import LoraConfig as PeftLoraConfig
    from peft import VeraConfig
    from transformers.pytorch_utils import Conv1D

    common = {
        "target_modules": list(names),
        # GPT-2's Conv1D keeps its weight as (in, out).
        "fan_in_fan_out": any(isinstance(layer, Conv1D) for layer in layers.values()),
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    if lora.method is Method.adalora:
        return adalora.config(lora, common)
    if lora.method is Method.vera:
        # The random matrices are kept in the file, so that another version of torch draws no others.
        return VeraConfig(
            r=lora.rank, vera_dropout=lora.dropout, projection_prng_key=seed, save_projection=True, **common
        )
    own = {**methods.peft_settings(lora), **_patterns(network, lora, layers)}
    return PeftLoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, **common, **own)


def wrap(network: Any, config: Any) -> Any:
    """Return PEFT's model: the base with PEFT's layers around its own.

    PEFT's prepare_model_for_kbit_training is not called, for quantized bases either: it casts norms,
    embeddings and head to float32, which changes the base's own scores and doubles the largest tensors; it
    turns gradient checkpointing on, which is `train`'s choice; and what is left, freezing, `load_base` did.
    """
    from peft import get_peft_model

    with warnings.catch_warnings():
        # PEFT 0.21 asks transformers 5.23 by the old name; nothing for the user to do.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return get_peft_model(network, config, autocast_adapter_dtype=True)  # adapter in float32, always


def _patterns(network: Any, lora: LoraConfig, layers: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return PEFT's ranks and alphas of single layers, by full name."""
    found = {}
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = read_pattern(getattr(lora, key), key=f"lora.{key}")
        found[key] = assign(network, layers, pattern, key=f"lora.{key}") if pattern else {}
    return found
