"""A prefix is refused where PEFT has made room for other keys and values than the model keeps."""

from dataclasses import replace

import pytest
import torch
import transformers

from tune.config.method import Method
from tune.config.recipe import LoraConfig
from tune.errors import ConfigError
from tune.model.adapt import attach, detach
from tune.model.load import Base

SHAPE = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GEMMA2 = transformers.Gemma2Config(
    **SHAPE, num_key_value_heads=2, head_dim=16, intermediate_size=48, sliding_window=8, pad_token_id=0
)
FALCON = transformers.FalconConfig(**SHAPE, multi_query=True)
LFM2 = transformers.Lfm2Config(
    **SHAPE, num_key_value_heads=2, intermediate_size=48, layer_types=["conv", "full_attention"]
)


def on(base: Base, config: transformers.PretrainedConfig) -> Base:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(requires_grad=False)
    return replace(base, model=model)


@pytest.mark.parametrize(
    ("config", "there"),
    [
        (GEMMA2, r"the model keeps \(2, 7, 16\)"),  # a window of 8 keeps the last 7
        (FALCON, r"the model keeps \(1, 20, 8\)"),  # one head for all, which PEFT does not look at
        (LFM2, "the model keeps none in some"),
    ],
    ids=["window", "one head", "convolution"],
)
def test_it_is_refused_with_both_shapes_and_the_base_serves_the_next_trial(
    base: Base, config: transformers.PretrainedConfig, there: str
) -> None:
    other = on(base, config)

    with pytest.raises(ConfigError, match=there) as caught:
        attach(other, LoraConfig(method=Method.prefix, virtual_tokens=20), seed=0)

    assert "lora.virtual_tokens=20 is not allowed" in str(caught.value)
    assert "take lora=prompt" in str(caught.value)
    detach(attach(other, LoraConfig(rank=4), seed=0))


def test_a_prefix_within_the_window_is_allowed(base: Base) -> None:
    detach(attach(on(base, GEMMA2), LoraConfig(method=Method.prefix, virtual_tokens=7), seed=0))
