"""What one trial is made of: adapter, quantization, training; model, data and evaluation have files of their own.

Hydra composes these groups from conf/; every field says what it means, its unit and its range.
Ranges are checked in `tune.config.rules`, because a dataclass checks types only.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from tune.config.early_stopping import EarlyStoppingConfig
from tune.config.method import Bias, Method
from tune.config.model import Dtype
from tune.config.optimizer import Optimizer


@dataclass(kw_only=True, slots=True)
class LoraConfig:
    """The low-rank update added to each target layer: W x + (alpha / rank) B A x.

    Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 4.1.
    """

    method: Method = Method.lora
    """What is trained, and how it is begun and scaled.

    lora, rslora, dora, pissa, olora, lora_plus, spectrum, adalora, vera, loftq, eva, prompt, prefix or full.
    """

    rank: int = 16
    """Inner size of A and B. At least 1; of adalora what a layer keeps on average, and vera wants some hundreds."""

    alpha: int = 32
    """Numerator of the update's scale alpha / rank; the divisor is sqrt(rank) with rslora, initial_rank with adalora.

    vera has no scale but what it learns. At least 1.
    """

    dropout: float = 0.0
    """Share of adapter inputs zeroed in training, from 0 up to but not 1."""

    targets: str = "all_linear"
    """Which linear layers of each block get an adapter.

    qv, attention (or qkvo), mlp, all_linear; any of q, k, v, o, gate, up, down; several joined with +, as in q+v+down;
    or re: and an expression that matches whole names of layers.
    """

    layers: str | None = None
    """Which blocks: top 8 (the last 8), 0-7 (both included), 0+2+5 (the first is 0), all; null for all."""

    rank_pattern: str | None = None
    """Ranks of some layers, joined with +: `mlp:8+down:32`, or by blocks, `top 8:32`; a later part wins.

    What stands before the colon is a word of `targets` or the blocks of `layers`. The others have `rank`.
    """

    alpha_pattern: str | None = None
    """Alphas of some layers, written as in `rank_pattern`. A layer of another rank keeps `alpha` unless it says so."""

    bias: Bias = Bias.none
    """Which of the base's biases are trained too: none, all (those of norms included), lora_only (of adapted layers).

    A model without biases, as Llama's are, is refused.
    """

    modules_to_save: str | None = None
    """Modules that are trained in full beside the adapter and saved with it, joined with +: embed_tokens+lm_head.

    The ends of their names; a weight that two modules share, such as tied embeddings, is trained as one.
    """

    plus_ratio: float = 16.0
    """Learning rate of B over that of A; lora_plus alone reads it. At least 1; its paper advises about 16."""

    spectrum_share: float = 0.25
    """Share of the layers of each type that spectrum adapts, those with the most signal. Above 0, at most 1."""

    virtual_tokens: int = 20
    """Virtual tokens before every text; prompt and prefix alone read it. At least 1."""

    initial_rank: int | None = None
    """Rank that every layer begins with; adalora alone reads it. Above lora.rank; null for one and a half times it."""

    @property
    def first_rank(self) -> int:
        """Return the rank that every layer begins with under adalora."""
        return self.initial_rank or math.ceil(1.5 * self.rank)


class QuantizationKind(StrEnum):
    """How the base weights are stored."""

    none = "none"
    nf4 = "nf4"
    """4-bit NormalFloat in blocks of 64 weights: 16 levels that share a normal distribution evenly."""

    fp4 = "fp4"
    """4-bit floats in blocks of 64 weights: sign, two bits of exponent, one of mantissa."""

    int8 = "int8"
    """8-bit whole numbers with one scale a row (LLM.int8)."""

    @property
    def is_four_bit(self) -> bool:
        """Return whether a weight takes four bits."""
        return self in {QuantizationKind.nf4, QuantizationKind.fp4}


class StorageDtype(StrEnum):
    """Type of the tensors that the packed four-bit weights lie in; their bytes are the same."""

    uint8 = "uint8"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


@dataclass(kw_only=True, slots=True)
class QuantizationConfig:
    """Storage of the frozen base's linear layers in four or eight bits; the head stays as it is.

    Source: Dettmers et al. 2023, https://arxiv.org/abs/2305.14314, section 3 (nf4, double);
    Dettmers et al. 2022, https://arxiv.org/abs/2208.07339 (int8).
    """

    kind: QuantizationKind = QuantizationKind.none
    """none, nf4, fp4 or int8."""

    double: bool = False
    """Quantize the constants of four-bit blocks too, which saves about 0.4 bits a weight; QLoRA is nf4 with it."""

    compute_dtype: Dtype = Dtype.auto
    """Number format that four-bit layers are multiplied in; `auto` is model.dtype."""

    storage_dtype: StorageDtype = StorageDtype.uint8
    """Type of the tensors that four-bit weights are packed in; sharding over GPUs wants it equal to model.dtype."""


class Schedule(StrEnum):
    """How the learning rate falls after the warm-up."""

    constant = "constant"
    linear = "linear"
    cosine = "cosine"


@dataclass(kw_only=True, slots=True)
class TrainConfig:
    """How the adapter is trained."""

    optimizer: Optimizer = Optimizer.adamw
    """adamw, adamw_8bit, paged_adamw_32bit, paged_adamw_8bit, adafactor, sgd or galore."""

    learning_rate: float = 1e-3
    """Peak rate. Above 0; published LoRA recipes, all with AdamW, lie between 1e-5 and 3e-3."""

    epochs: float = 1.0
    """Passes over the training examples. Above 0."""

    max_steps: int | None = None
    """Stop after so many optimizer steps whatever `epochs` says. At least 1."""

    batch_size: int = 4
    """Examples in one forward pass. At least 1."""

    accumulation: int = 1
    """Forward passes summed before one optimizer step. At least 1."""

    warmup_share: float = 0.1
    """Share of the steps in which the rate rises from 0, from 0 up to but not 1."""

    schedule: Schedule = Schedule.linear
    """Shape of the rate after the warm-up."""

    momentum: float = 0.0
    """Share of SGD's last step that is added to the next, from 0 up to but not 1; sgd alone reads it."""

    galore_rank: int = 128
    """Singular directions of a gradient that GaLore keeps; galore alone reads it. At least 1."""

    weight_decay: float = 0.0
    """Share of the weights, times the rate, that each step takes from them. At least 0.

    Decoupled from the gradient, but for SGD, where it is added to it: the same without momentum, and not with it.
    """

    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm. Above 0."""

    max_length: int = 512
    """Longest example in tokens; longer ones are left out and counted, never cut silently. At least 8."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    evals: int = 0
    """How often the validation loss is measured on the way, evenly over the steps; the end needs none. At least 0."""

    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
