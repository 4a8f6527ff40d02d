"""What an adapter becomes when it is deployed: merged, and quantized again from the weights as they were before."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tune.config.compose import compose
from tune.config.recipe import QuantizationKind
from tune.config.schema import Config
from tune.errors import Diverged
from tune.model import adapt
from tune.model.deploy import APART, WHOLE, deployed, merge
from tune.model.load import Base, load_base
from tune.model.quantize import plain_weight

IDS = torch.arange(5, 25)[None]


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(input_ids=IDS).logits


def config_of(*words: str) -> Config:
    config = compose(["model=tiny", *words])
    return replace(config, model=replace(config.model, device="cpu"))


def trained(base: Base, config: Config, folder: Path, *, size: float = 0.02) -> tuple[adapt.Adapted, torch.Tensor]:
    """Save an adapter as if it had been trained; return it reloaded, and what it says."""
    adapted = adapt.attach(base, config.lora, seed=0)
    draw = torch.Generator().manual_seed(1)
    for name, parameter in adapted.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, size, generator=draw)
        elif parameter.requires_grad and "lora" not in name:
            parameter.data.mul_(1.25)
    adapted = adapt.settle(adapted)
    said = logits(adapted.model)
    adapt.save(adapted, folder / "adapter")
    adapt.detach(adapted)
    return adapt.reload(base, folder / "adapter"), said


def query(model: Any) -> Any:
    return model.model.layers[0].self_attn.q_proj


@pytest.mark.parametrize("words", [(), ("lora=dora",), ("lora=rslora",), ("lora.modules_to_save=lm_head",)])
def test_without_quantization_the_merged_model_says_what_the_adapter_says(
    base: Base, tmp_path: Path, words: tuple[str, ...]
) -> None:
    config = config_of(*words)
    bare = logits(base.model)
    adapted, said = trained(base, config, tmp_path)

    model, note = deployed(adapted, config, tmp_path / "adapter", work=tmp_path / "work")

    assert note is None
    assert not any("lora" in name or "parametrizations" in name for name, _ in model.named_parameters())
    torch.testing.assert_close(logits(model), said, atol=1e-4, rtol=1e-4)
    assert (said - bare).abs().mean() > 0.1, "the adapter changes something"


@pytest.mark.parametrize("kind", [QuantizationKind.nf4, QuantizationKind.fp4])
def test_a_quantized_base_gets_the_update_before_it_is_quantized(
    load: Callable[..., Base], tmp_path: Path, kind: QuantizationKind
) -> None:
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    config = config_of(f"quantization={kind}")
    base = load(kind)
    adapted, _ = trained(base, config, tmp_path)
    update = query(adapted.model.base_model.model).get_delta_weight("default").detach()
    whole = query(load(QuantizationKind.none).model).weight.data + update

    model, _ = deployed(adapted, config, tmp_path / "adapter", work=tmp_path / "work")

    layer = query(model)
    expected = dequantize_4bit(*quantize_4bit(whole, quant_type=kind.value, blocksize=64))
    torch.testing.assert_close(plain_weight(layer), expected, atol=0, rtol=0)
    assert list((tmp_path / "work").iterdir()) == [], "the merged model is removed"


def test_merged_into_weights_that_are_quantized_already_a_weak_update_is_lost(
    load: Callable[..., Base], tmp_path: Path
) -> None:
    # Why the weights as they were before are taken: all of them stand on levels of NF4, and the update is below half
    # a step, so rounding brings each weight back to the level where it was.
    base = load(QuantizationKind.nf4)
    before = query(base.model).weight.data.clone()
    adapted, _ = trained(base, config_of("quantization=nf4"), tmp_path, size=0.002)

    in_place = query(merge(adapted)).weight.data

    assert (in_place != before).float().mean() < 0.01, "bytes that hold two levels each"


def test_loftq_is_merged_into_the_quantized_weights_that_it_corrects(load: Callable[..., Base], tmp_path: Path) -> None:
    config = config_of("quantization=nf4", "lora=loftq")
    base = load(QuantizationKind.nf4)
    adapted, said = trained(base, config, tmp_path)

    model, note = deployed(adapted, config, tmp_path / "adapter", work=tmp_path / "work")

    assert note is None
    assert model is base.model, "in place"
    assert not (tmp_path / "work").exists()
    assert torch.corrcoef(torch.stack([logits(model).flatten(), said.flatten()]))[0, 1] > 0.9


def test_virtual_tokens_and_whole_models_are_deployed_as_they_are(base: Base, tmp_path: Path) -> None:
    config = config_of("lora=prompt")
    adapted = adapt.attach(base, config.lora, seed=0)
    assert deployed(adapted, config, tmp_path, work=tmp_path) == (adapted.model, APART)
    adapt.detach(adapted)
    config = config_of("lora=full")
    adapted = adapt.attach(base, config.lora, seed=0)
    assert deployed(adapted, config, tmp_path, work=tmp_path) == (adapted.model, WHOLE)
    adapt.detach(adapted)


def test_an_update_that_is_not_finite_is_refused(tiny_folder: Path) -> None:
    config = config_of()
    base = load_base(config.model, config.quantization, folder=tiny_folder)
    adapted = adapt.attach(base, config.lora, seed=0)
    with torch.no_grad():
        for name, parameter in adapted.model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(float("nan"))

    with pytest.raises(Diverged, match="cannot be merged"):
        merge(adapted)
