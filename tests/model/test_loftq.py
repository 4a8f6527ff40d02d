"""LoftQ's start is nearer to the whole model than the quantized base is, whichever way a layer keeps its weight."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tune.config.method import Method
from tune.config.model import Device, ModelConfig
from tune.config.recipe import LoraConfig, QuantizationConfig, QuantizationKind
from tune.errors import ConfigError
from tune.model.adapt import attach, detach
from tune.model.load import Base, load_base

Load = Callable[[QuantizationKind], Base]
Ask = Callable[[Any], Any]


@pytest.fixture
def gpt2(base: Base, tmp_path: Path) -> Load:
    """Return GPT-2, whose Conv1D layers are written as (in, out)."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=1000, n_embd=64, n_layer=2, n_head=4, n_positions=64, initializer_range=0.2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    base.tokenizer.save_pretrained(tmp_path)
    return lambda kind: load_base(ModelConfig(device=Device.cpu), QuantizationConfig(kind=kind), folder=tmp_path)


# c_attn and the MLP are no squares; c_proj of attention is one, where a weight the wrong way round would fit too.
@pytest.mark.parametrize("targets", ["all_linear", "o"])
def test_weights_that_are_written_transposed_are_corrected_too(gpt2: Load, ask: Ask, targets: str) -> None:
    quantized = gpt2(QuantizationKind.nf4)
    whole, before = ask(gpt2(QuantizationKind.none).model), ask(quantized.model)

    adapted = attach(quantized, LoraConfig(method=Method.loftq, rank=16, alpha=16, targets=targets), seed=0)

    assert (ask(adapted.model) - whole).norm() < (before - whole).norm()


@pytest.mark.parametrize("settings", [{"rank": 33}, {"rank": 4, "rank_pattern": "k:33"}])
def test_a_rank_above_a_layers_width_is_refused(load: Load, settings: dict[str, Any]) -> None:
    quantized = load(QuantizationKind.nf4)  # k and v have 32 outputs; their packed weights are another shape

    with pytest.raises(ConfigError, match=r"a rank of 33 is not allowed with lora\.method=loftq: .* has 32 directions"):
        attach(quantized, LoraConfig(method=Method.loftq, **settings), seed=0)

    detach(attach(quantized, LoraConfig(method=Method.loftq, rank=32), seed=0))
