"""An adapter on a frozen base: attach, detach, save, reload.

The base's weights never change. On disk an adapter is safetensors and JSON that PEFT
reads too, and a folder is whole or not there at all.
"""

import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune.config.recipe import LoraConfig
from tune.errors import AssetError, Diverged, NothingLearned
from tune.files import write_json
from tune.model.adapter_config import CONFIG, read_config
from tune.model.load import Base
from tune.model.quantize import import_quietly
from tune.model.targets import choose_layers

WEIGHTS = "adapter_model.safetensors"
ORIGIN = "base.json"
"""Digest of the base it was trained on. Not in the weights' header, where two keys stand in random order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapted:
    """A base with an adapter on it."""

    model: Any
    """The PEFT model; it shares its weights with `base.model`, whose layers are wrapped until `detach`."""

    base: Base
    """What it stands on."""

    targets: tuple[str, ...]
    """Endings of the names of the adapted layers."""

    trainable: int
    """Parameters of the adapter."""

    total: int
    """Parameters of base and adapter; a four-bit weight counts as one."""

    note: str | None
    """What the user should know about the choice of layers, or None."""


def attach(base: Base, lora: LoraConfig, *, seed: int) -> Adapted:
    """Return the base with a fresh adapter: A random, B zero, so nothing is changed yet.

    torch is seeded first: the same seed gives the same A.

    Raises:
        ConfigError: The target preset matches no layer of this model.
    """
    import torch

    chosen = choose_layers(base.model, lora.targets, lora.layers)
    torch.manual_seed(seed)
    return _wrap(base, _peft_config(base, lora, chosen.names), targets=chosen.names, note=chosen.note)


def detach(adapted: Adapted) -> Base:
    """Return the base without the adapter, as it was before: same weights bit for bit, eval mode, no gradients."""
    network = adapted.model.unload()
    assert network is adapted.base.model
    # What a trainer may have switched on.
    network.activation_checkpointing_disable()
    network.disable_input_require_grads()
    # Checkpointing with PEFT can switch gradients of the inputs on twice; the line above then loses one hook.
    network.get_input_embeddings()._forward_hooks.clear()  # noqa: SLF001 - torch has no public way to find them
    network.config.use_cache = True
    network.eval().requires_grad_(requires_grad=False)
    return adapted.base


def save(adapted: Adapted, folder: Path) -> None:
    """Write the adapter, in place of what is in the folder; the folder is never half written.

    Raises:
        Diverged: A weight is NaN or infinite.
        NothingLearned: Every B is zero.
    """
    from safetensors.torch import save_file

    weights = _weights(adapted)
    _check(weights)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.writing")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    save_file(weights, beside / WEIGHTS, metadata={"format": "pt"})
    write_json(beside / ORIGIN, {"digest": adapted.base.digest})
    write_json(beside / CONFIG, _plain_config(adapted))
    _put(beside, folder)


def reload(base: Base, folder: Path) -> Adapted:
    """Return the base with a saved adapter on it; it can be trained on.

    Raises:
        AssetError: A file is missing or broken, or the adapter belongs to another base.
    """
    import_quietly()
    from peft import set_peft_model_state_dict

    weights, config = _read(base, folder)
    adapted = _wrap(base, config, targets=tuple(sorted(config.target_modules)), note=None)
    complaint = _difference(_weights(adapted), weights)
    if complaint:
        detach(adapted)
        msg = f"the adapter in {folder} does not fit this model: {complaint}. Give the base that it was trained on."
        raise AssetError(msg)
    set_peft_model_state_dict(adapted.model, weights)
    return adapted


def _peft_config(base: Base, lora: LoraConfig, names: tuple[str, ...]) -> Any:
    import_quietly()
    from peft import LoraConfig as PeftLoraConfig
    from transformers.pytorch_utils import Conv1D

    endings = tuple(f".{name}" for name in names)
    layers = [module for name, module in base.model.named_modules() if f".{name}".endswith(endings)]
    return PeftLoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(names),
        # GPT-2's Conv1D keeps its weight as (in, out).
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers),
        bias="none",
        task_type="CAUSAL_LM",
    )


def _wrap(base: Base, config: Any, *, targets: tuple[str, ...], note: str | None) -> Adapted:
    """Put PEFT's layers around the base's.

    PEFT's prepare_model_for_kbit_training is not called, for quantized bases either: it casts norms,
    embeddings and head to float32, which changes the base's own scores and doubles the largest tensors; it
    turns gradient checkpointing on, which is `train`'s choice; and what is left, freezing, `load_base` did.
    """
    from peft import get_peft_model

    with warnings.catch_warnings():
        # PEFT 0.21 asks transformers 5.23 by the old name; nothing for the user to do.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        model = get_peft_model(base.model, config, autocast_adapter_dtype=True)  # adapter in float32, always
    trainable, total = model.get_nb_trainable_parameters()
    return Adapted(model=model, base=base, targets=targets, trainable=trainable, total=total, note=note)


def _weights(adapted: Adapted) -> dict[str, Any]:
    from peft import get_peft_model_state_dict

    # "auto" would ask the hub whether the vocabulary has grown; adapters here never touch the embeddings.
    state = get_peft_model_state_dict(adapted.model, save_embedding_layers=False)
    return {name: tensor.detach().to("cpu").contiguous() for name, tensor in state.items()}


def _check(weights: dict[str, Any]) -> None:
    broken = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if broken:
        msg = f"{len(broken)} of {len(weights)} adapter tensors hold NaN or infinity (first: {broken[0]}): not saved."
        raise Diverged(msg)
    if not any(tensor.any() for name, tensor in weights.items() if ".lora_B." in name):
        msg = (
            "every B of the adapter is zero, so it changes nothing: not saved. No optimizer step reached it; "
            "look at train.learning_rate and train.max_steps, and whether any reply token is left to learn from."
        )
        raise NothingLearned(msg)


def _plain_config(adapted: Adapted) -> dict[str, Any]:
    """Return PEFT's configuration with its sets in order, so that the same adapter gives the same bytes."""
    config = adapted.model.peft_config["default"].to_dict()
    config["inference_mode"] = True
    return {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}


def _put(beside: Path, folder: Path) -> None:
    if folder.exists():
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        folder.rename(old)
        beside.rename(folder)
        shutil.rmtree(old)
    else:
        beside.rename(folder)


def _read(base: Base, folder: Path) -> tuple[dict[str, Any], Any]:
    """Return the adapter's weights and PEFT's configuration."""
    from safetensors import SafetensorError, safe_open

    try:
        config = read_config(folder)
        origin = folder / ORIGIN  # an adapter from elsewhere has none
        trained_on = json.loads(origin.read_text(encoding="utf-8"))["digest"] if origin.is_file() else None
        with safe_open(folder / WEIGHTS, framework="pt") as stream:
            weights = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        msg = f"no whole adapter in {folder} ({error}). It needs {CONFIG} and {WEIGHTS}; train it again or copy both."
        raise AssetError(msg) from error
    if trained_on not in {None, base.digest}:
        msg = (
            f"the adapter in {folder} was trained on other weights (digest {str(trained_on)[:12]}, this base has "
            f"{base.digest[:12]}). Load the model it was trained on."
        )
        raise AssetError(msg)
    return weights, config


def _difference(expected: dict[str, Any], found: dict[str, Any]) -> str | None:
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or unexpected:
        first = (missing or unexpected)[0]
        return f"{len(missing)} tensors are missing and {len(unexpected)} are not expected (first: {first})"
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            return f"{name} has shape {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
    return None
