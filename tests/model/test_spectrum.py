"""Layers are chosen by how much of their weights noise cannot explain."""

import math
from collections.abc import Callable

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tune.config.method import Method
from tune.config.recipe import LoraConfig, QuantizationKind
from tune.model.adapt import attach
from tune.model.load import Base
from tune.model.quantize import plain_weight
from tune.model.spectrum import signal_to_noise, threshold, top_layers
from tune.model.targets import linear_layers, summary

ALL = ("self_attn.q_proj", "mlp.down_proj")


def turned(values: list[float], n: int) -> torch.Tensor:
    """Return an (n, n) matrix with these singular values, whose directions are no axes."""
    torch.manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(n, n, dtype=torch.float64)).Q for _ in range(2))
    return left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right


def test_the_threshold_and_the_ratio_by_hand() -> None:
    # One value of 30 and fifteen of 1. Of all entries: s = sqrt(915 / 256) = 1.89, edge 1.89 x (4 + 4) = 15.1, so 30 is
    # signal. Without it: s = sqrt(15 / (15 x 15)), edge 8 / sqrt(15) = 2.07, and 1 stays noise.
    values = [30.0] + [1.0] * 15

    assert threshold(torch.tensor(values), (16, 16)) == pytest.approx(8 / math.sqrt(15))
    assert signal_to_noise(turned(values, 16)) == pytest.approx(30 / 15, rel=1e-5)


def test_a_value_below_the_edge_is_noise() -> None:
    # The edge of all entries is 8 sqrt(31 / 256) = 2.8 with a 4, which lies above, and 8 sqrt(19 / 256) = 2.2 with a 2.
    assert signal_to_noise(turned([4.0] + [1.0] * 15, 16)) == pytest.approx(4 / 15, rel=1e-5)
    assert signal_to_noise(turned([2.0] + [1.0] * 15, 16)) == 0.0


@pytest.mark.parametrize("shape", [(256, 256), (512, 128), (100, 400)])
@pytest.mark.parametrize("spread", [0.02, 3.0])
def test_noise_has_nearly_no_signal(shape: tuple[int, int], spread: float) -> None:
    torch.manual_seed(1)

    assert signal_to_noise(spread * torch.randn(shape)) < 0.02  # of 100 values or more, at most one or two


def test_a_planted_signal_is_found_whatever_the_scale_and_the_side() -> None:
    torch.manual_seed(1)
    noise, planted = torch.randn(256, 128), 8 * torch.randn(256, 4) @ torch.randn(4, 128)

    ratio = signal_to_noise(noise + planted)

    assert ratio > 1.0
    assert signal_to_noise(0.01 * (noise + planted)) == pytest.approx(ratio, rel=1e-3)
    assert signal_to_noise((noise + planted).T) == pytest.approx(ratio, rel=1e-3)


def test_no_weights_have_no_signal() -> None:
    assert signal_to_noise(torch.zeros(4, 4)) == 0.0


def test_each_type_gives_its_share_of_layers_those_with_the_most_signal(base: Base) -> None:
    torch.manual_seed(0)
    for name in ("layers.1.self_attn.q_proj", "layers.0.mlp.down_proj"):
        weight = base.model.model.get_submodule(name).weight
        weight.data += torch.randn(weight.shape[0], 1) @ torch.randn(1, weight.shape[1])

    assert top_layers(base.model, ALL, 0.5) == (
        "model.layers.0.mlp.down_proj",
        "model.layers.1.self_attn.q_proj",
    )
    assert len(top_layers(base.model, ALL, 0.01)) == 2, "one of each type at least"
    assert top_layers(base.model, ALL, 1.0) == tuple(name for name in linear_layers(base.model) if name.endswith(ALL))


def test_a_share_that_is_a_whole_number_of_layers_takes_so_many() -> None:
    shape = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=25, num_attention_heads=1)

    assert len(top_layers(LlamaForCausalLM(shape), ("mlp.down_proj",), 0.28)) == 7  # 7.000000000000001 in floats
    assert len(top_layers(LlamaForCausalLM(shape), ("mlp.down_proj",), 0.29)) == 8


def test_the_chosen_layers_are_the_targets(base: Base) -> None:
    adapted = attach(base, LoraConfig(method=Method.spectrum, rank=4, alpha=8, spectrum_share=0.5), seed=0)

    wrapped = [name for name, module in adapted.model.named_modules() if hasattr(module, "lora_A")]
    assert len(adapted.targets) == 7  # one of two blocks for q, k, v, o, gate, up and down
    assert sorted(name.removeprefix("base_model.model.") for name in wrapped) == sorted(adapted.targets)
    assert "block" in summary(adapted.targets)


@pytest.mark.parametrize("kind", QuantizationKind)
def test_a_quantized_weight_is_read_back_as_it_is_multiplied_with(
    load: Callable[[QuantizationKind], Base], kind: QuantizationKind
) -> None:
    layer = load(kind).model.model.layers[0].mlp.down_proj
    inputs = torch.eye(layer.in_features)

    outputs = layer(inputs)  # (in, out)

    # int8 rounds the inputs too, and a product to float16.
    assert torch.allclose(plain_weight(layer).float(), outputs.T.float(), atol=2e-3)
