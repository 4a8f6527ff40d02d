"""How much memory a configuration needs at most, in GiB, without its weights: only the architecture's sizes are read.

Weights, adapter and optimizer are counted parameter by parameter; activations, logits and the evaluation are
counted by running the model's own code on the meta device (tune.model.trace).
"""

import math
from dataclasses import dataclass
from typing import Any

from tune.config.recipe import Device, Dtype, GeneralKnowledge, QuantizationConfig, QuantizationKind
from tune.config.schema import Config
from tune.errors import ConfigError

_GIB = 1024**3

IMPORTS_GIB = 0.85
"""Resident size of a process on a CPU that has imported what a trial needs and loaded no model yet.

Measured with `python scripts/memory_check.py imports`. On a GPU nothing of it is in the GPU's memory.
"""

BLOCK = 64
"""Weights that share a constant in four bits."""

CONSTANTS_IN_BLOCK = 256
"""Constants that share a constant of their own where they are quantized too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """The longest sequences, in tokens."""

    example: int
    """Of a training example, and of a text that is scored."""

    learned: int
    """Of the part of it that the loss is taken on."""

    prompt: int
    """Of the prompts that replies are generated for."""

    question: int = 0
    """Of a knowledge question with its solved ones."""

    @staticmethod
    def of(config: Config) -> "Lengths":
        """Return the most the settings allow: examples of train.max_length, answers of data.max_new_tokens."""
        longest = config.train.max_length
        learned = min(config.data.max_new_tokens, longest - 1)
        asks = config.evaluate.general is not GeneralKnowledge.none
        return Lengths(example=longest, learned=learned, prompt=longest - learned, question=longest if asks else 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Memory in GiB (1024³ bytes), part by part, and parameters."""

    weights: float
    """The frozen base."""

    adapter: float
    """What is trained, in float32."""

    gradients: float
    """Of what is trained."""

    optimizer: float
    """AdamW's two moments of what is trained."""

    activations: float
    """Largest sum beside the above while a step runs and no logits exist."""

    logits: float
    """Head and loss at the learned positions."""

    evaluation: float
    """Largest of scoring and generating, beside base and adapter."""

    overhead: float
    """The process with its libraries, before a model is loaded."""

    peak_training: float
    """Largest sum while training; activations and logits need not be largest at once."""

    peak_evaluation: float
    """Largest sum while evaluating."""

    trainable: int
    """Parameters that are trained."""

    total: int
    """Parameters of base and adapter; a four-bit weight counts as one."""

    @property
    def peak(self) -> float:
        """Return the larger of the two peaks."""
        return max(self.peak_training, self.peak_evaluation)

    @property
    def share(self) -> float:
        """Return trainable parameters as a share of all."""
        return self.trainable / self.total


def estimate(
    config: Config,
    hf_config: Any,
    *,
    lengths: Lengths | None = None,
    on_gpu: bool = False,
    overhead_gib: float | None = None,
) -> Estimate:
    """Return the memory of a configuration.

    Args:
        config: The trial.
        hf_config: transformers configuration of its model (tune.model.architectures.read_architecture).
        lengths: Longest sequences; by default what the settings allow at most.
        on_gpu: Whether it is to run on a GPU; decides what `model.dtype=auto` is, and the overhead. Only asked
            where model.device is auto.
        overhead_gib: The process before a model is loaded; by default IMPORTS_GIB on a CPU, and 0 on a GPU.

    Raises:
        ConfigError: The target preset matches no layer, or this version of transformers cannot build the model.
    """
    from tune.model import trace

    lengths = lengths or Lengths.of(config)
    on_gpu = on_gpu if config.model.device is Device.auto else config.model.device is Device.cuda
    model, weights, trainable, total = _meta_model(config, hf_config, _dtype(config, on_gpu))
    scored = max(lengths.example, lengths.question)
    evaluation = max(
        trace.scoring_bytes(model, batch=config.evaluate.batch_size, length=scored),
        trace.generation_bytes(
            model,
            batch=config.evaluate.generation_batch_size,
            n_prompt=lengths.prompt,
            n_new=config.data.max_new_tokens,
        ),
    )
    step = trace.step_bytes(
        model,
        batch=config.train.batch_size,
        length=lengths.example,
        n_learned=lengths.learned,
        checkpointing=config.train.gradient_checkpointing,
    )
    adapter = gradients = trainable * 4  # float32, whatever the base has
    optimizer = 2 * adapter
    overhead = ((0.0 if on_gpu else IMPORTS_GIB) if overhead_gib is None else overhead_gib) * _GIB
    held = weights + adapter + overhead
    # Gradients are freed after a step, so they lie beside a whole pass only where several are summed.
    summed = gradients if config.train.accumulation > 1 else 0
    return Estimate(
        weights=weights / _GIB,
        adapter=adapter / _GIB,
        gradients=gradients / _GIB,
        optimizer=optimizer / _GIB,
        activations=step.activations / _GIB,
        logits=step.logits / _GIB,
        evaluation=evaluation / _GIB,
        overhead=overhead / _GIB,
        peak_training=(held + optimizer + max(step.peak + summed, 2 * gradients)) / _GIB,
        peak_evaluation=(held + evaluation) / _GIB,
        trainable=trainable,
        total=total,
    )


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


def _dtype(config: Config, on_gpu: bool) -> Any:
    import torch

    named = config.model.dtype
    if named is Dtype.auto:
        return torch.bfloat16 if on_gpu else torch.float32
    return getattr(torch, named.value)


def _meta_model(config: Config, hf_config: Any, dtype: Any) -> tuple[Any, int, int, int]:
    """Return the adapted model without memory, the bytes of its base, and parameters: trainable, all."""
    import torch

    from tune.model.adapt import attach
    from tune.model.load import Base

    network = _network(config, hf_config, dtype)
    weights = _weights_bytes(network, config.quantization)
    base = Base(model=network, tokenizer=None, device=torch.device("meta"), dtype=dtype, digest="")
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are left as they were
        adapted = attach(base, config.lora, seed=config.seed)
    return adapted.model, weights, adapted.trainable, adapted.total


def _network(config: Config, hf_config: Any, dtype: Any) -> Any:
    import copy

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


def _weights_bytes(network: Any, quantization: QuantizationConfig) -> int:
    """Return the bytes of parameters and buffers, and give four-bit layers the passes that they have.

    Head, embeddings and norms stay as they are.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D
    from transformers.quantizers.base import get_keys_to_not_convert

    from tune.model.trace import FourBitLinear

    n_bytes: int = sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))
    if quantization.kind is QuantizationKind.none:
        return n_bytes
    kept = set(get_keys_to_not_convert(network))
    for name, layer in list(network.named_modules()):
        if name in kept or not isinstance(layer, nn.Linear | Conv1D):
            continue
        weight = layer.weight
        n_bytes += stored_bytes(weight.numel(), quantization, n_bytes=weight.element_size()) - weight.nbytes
        if isinstance(layer, nn.Linear):
            network.set_submodule(name, FourBitLinear.around(layer))
    return n_bytes
