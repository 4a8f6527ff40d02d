"""A model without memory, with an adapter on it, and how many bytes its base takes when it is loaded."""

import copy
import math
from dataclasses import dataclass
from typing import Any

from tune.config.method import BEGUN_FROM_WEIGHTS, Method
from tune.config.recipe import QuantizationConfig, QuantizationKind
from tune.config.schema import Config
from tune.errors import ConfigError

BLOCK = 64
"""Weights that share a constant in four bits."""

CONSTANTS_IN_BLOCK = 256
"""Constants that share a constant of their own where they are quantized too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """An adapted model on the meta device, and what its base takes."""

    model: Any
    """The PEFT model."""

    weights: int
    """Bytes of the base's parameters and buffers, as they are stored."""

    mapped: int
    """Bytes of the checkpoint that stay resident on a CPU though the weights made from them are counted elsewhere.

    Embeddings and norms are not copied where their format is the checkpoint's: they lie in the mapped file, and the
    pages of the weights that were quantized stay in memory with them until the kernel needs their room.
    """

    read: int
    """Bytes of the checkpoint's pages that lie beside the weights while they are made from them, on a CPU."""

    copied: int
    """Bytes of the copies that four-bit weights are made from, before they are freed."""

    trainable: int
    """Parameters that are trained."""

    total: int
    """Parameters of base and adapter; a four-bit weight counts as one."""


def outline(config: Config, hf_config: Any, dtype: Any) -> Outline:
    """Return the adapted model without memory.

    Args:
        config: The trial.
        hf_config: transformers configuration of its model.
        dtype: Format of what is not quantized, a torch.dtype.

    Raises:
        ConfigError: The target preset matches no layer, this version of transformers cannot build the model, or
            method or quantization are none of those that can be estimated.
    """
    import torch

    from tune.model.adapt import attach
    from tune.model.load import Base

    _check_is_known(config)
    network = _network(config, hf_config, dtype)
    plain = _plain_bytes(network)
    weights, kept = _pack(network, config.quantization)
    stored = getattr(hf_config, "dtype", None) or dtype
    stays = kept and stored == dtype
    base = Base(model=network, tokenizer=None, device=torch.device("meta"), dtype=dtype, digest="")
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are left as they were
        adapted = attach(base, config.lora, seed=config.seed)
    return Outline(
        model=adapted.model,
        weights=weights,
        mapped=plain - kept if stays else 0,
        read=_pages(plain, kept, dtype=dtype, stored=stored),
        copied=plain - kept if kept else 0,
        trainable=adapted.trainable,
        total=adapted.total,
    )


def _check_is_known(config: Config) -> None:
    """Refuse what would be estimated as something else."""
    if config.quantization.kind is QuantizationKind.int8:
        msg = (
            "the memory of quantization.kind=int8 cannot be estimated: its passes are not those of four bits, and were "
            "never measured. Take none, nf4 or fp4."
        )
        raise ConfigError(msg)
    if config.lora.method is Method.full:
        msg = (
            "the memory of lora.method=full cannot be estimated: the gradients of all weights lie beside the "
            "activations while they come, which was never measured. At least five times the weights in float32 are "
            "needed: the base, a copy, gradients and two moments. Estimate an adapter, such as lora=lora."
        )
        raise ConfigError(msg)
    if config.lora.method in {Method.prompt, Method.prefix}:
        msg = (
            f"the memory of lora.method={config.lora.method} cannot be estimated: virtual tokens lengthen every "
            "sequence, or its cache, and that was never measured. It is about that of lora=lora lora.rank=1 with "
            "train.max_length longer by lora.virtual_tokens."
        )
        raise ConfigError(msg)
    if config.lora.method is Method.spectrum:
        msg = (
            "the memory of lora.method=spectrum cannot be estimated: the weights say which layers it adapts, and they "
            "are not read here. Estimate lora=lora on all of them, which takes more."
        )
        raise ConfigError(msg)
    if config.lora.method in {Method.adalora, Method.vera, Method.loftq, Method.eva}:
        msg = (
            f"the memory of lora.method={config.lora.method} cannot be estimated: what it needs beside its parameters "
            "was never measured. Estimate lora=lora with the same rank."
        )
        raise ConfigError(msg)
    if config.lora.method in BEGUN_FROM_WEIGHTS:
        msg = (
            f"the memory of lora.method={config.lora.method} cannot be estimated: it begins from the weights, and they "
            "are not read here. Estimate lora=lora with the same rank, and add an adapter that is not trained."
        )
        raise ConfigError(msg)


def stored_bytes(n_weights: int, quantization: QuantizationConfig, *, n_bytes: int) -> int:
    """Return the bytes of one frozen weight matrix.

    Four bits a weight, and a constant a block of 64: a float32 (0.5 bits a weight), or with double quantization a
    byte and a float32 a 256 of them (0.127 bits): 4.127 bits in all.

    Args:
        n_weights: Of the matrix.
        quantization: How it is stored.
        n_bytes: Of a weight that is not quantized.

    Source: Dettmers et al. 2023, https://arxiv.org/abs/2305.14314, section 3.
    """
    if quantization.kind is QuantizationKind.none:
        return n_weights * n_bytes
    n_blocks = math.ceil(n_weights / BLOCK)
    constants = n_blocks + 4 * math.ceil(n_blocks / CONSTANTS_IN_BLOCK) if quantization.double else 4 * n_blocks
    return math.ceil(n_weights / 2) + constants


def _network(config: Config, hf_config: Any, dtype: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(
                copy.deepcopy(hf_config), dtype=dtype, trust_remote_code=config.model.runs_own_code
            )
    except (ValueError, KeyError, ImportError) as error:
        msg = (
            f"the memory of model {config.model.label} cannot be estimated: transformers cannot build it "
            f"({str(error).splitlines()[0]}). Use a transformers version that knows it."
        )
        raise ConfigError(msg) from error
    return network.eval().requires_grad_(requires_grad=False)


def _plain_bytes(network: Any) -> int:
    return sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))


def _pages(plain: int, kept: int, *, dtype: Any, stored: Any) -> int:
    """Return the bytes of a checkpoint that are read to be made into something else, and are no weights themselves."""
    if stored == dtype:
        return plain - kept if kept else 0
    return plain * int(stored.itemsize) // int(dtype.itemsize)


def _pack(network: Any, quantization: QuantizationConfig) -> tuple[int, int]:
    """Return the bytes of parameters and buffers as they are stored, and of those that stay as they are; 0 if all do.

    Four-bit layers are given the passes that they have. Head, embeddings and norms stay as they are.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D
    from transformers.quantizers.base import get_keys_to_not_convert

    from tune.model.trace import FourBitLinear

    kept = _plain_bytes(network)
    if quantization.kind is QuantizationKind.none:
        return kept, 0
    names_kept, packed = set(get_keys_to_not_convert(network)), 0
    for name, layer in list(network.named_modules()):
        if name in names_kept or not isinstance(layer, nn.Linear | Conv1D):
            continue
        kept -= layer.weight.nbytes
        packed += stored_bytes(layer.weight.numel(), quantization, n_bytes=layer.weight.element_size())
        if isinstance(layer, nn.Linear):
            network.set_submodule(name, FourBitLinear.around(layer))
    return kept + packed, kept
