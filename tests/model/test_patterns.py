"""Ranks and alphas of single layers: read, resolved over the model's own modules, trained, saved and reloaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tune.config import rules
from tune.config.compose import compose
from tune.config.method import ONE_RANK, Method
from tune.config.recipe import LoraConfig
from tune.errors import ConfigError
from tune.model.adapt import Adapted, attach, detach, reload, save
from tune.model.load import Base

Ask = Callable[[Any], Any]
Learn = Callable[[Any, int], list[float]]


def ranks(adapted: Adapted) -> dict[str, int]:
    """Return the rank of each adapted layer, by BLOCK.NAME."""
    found = {}
    for name, parameter in adapted.model.named_parameters():
        if ".lora_A." in name:
            _, _, place = name.partition(".layers.")
            found[f"{place.split('.')[0]}.{place.split('.')[2]}"] = parameter.shape[0]
    return found


def scales(adapted: Adapted) -> dict[str, float]:
    layers = {name: m for name, m in adapted.model.named_modules() if hasattr(m, "lora_A") and m.lora_A}
    return {name.rpartition(".")[2]: layer.scaling["default"] for name, layer in layers.items()}


def test_later_parts_win_and_the_others_have_the_rank(base: Base) -> None:
    lora = LoraConfig(rank=2, targets="q+v+mlp", rank_pattern="mlp:4+down:8+0:3")

    found = ranks(attach(base, lora, seed=0))

    # Block 0 has 3 everywhere, for it stands last; elsewhere down has 8, gate and up 4, and q and v the rank.
    assert {name: rank for name, rank in found.items() if name.startswith("0.")} == {
        "0.q_proj": 3, "0.v_proj": 3, "0.gate_proj": 3, "0.up_proj": 3, "0.down_proj": 3,
    }  # fmt: skip
    assert {name: rank for name, rank in found.items() if name.startswith("1.")} == {
        "1.q_proj": 2, "1.v_proj": 2, "1.gate_proj": 4, "1.up_proj": 4, "1.down_proj": 8,
    }  # fmt: skip


def test_the_scale_of_a_layer_is_its_alpha_over_its_rank(base: Base) -> None:
    lora = LoraConfig(rank=2, alpha=4, targets="q+v", rank_pattern="v:8", alpha_pattern="v:24")

    assert scales(attach(base, lora, seed=0)) == {"q_proj": 2.0, "v_proj": 3.0}


def test_it_trains_is_saved_and_comes_back(base: Base, ask: Ask, learn: Learn, tmp_path: Path) -> None:
    adapted = attach(base, LoraConfig(rank=2, rank_pattern="top 1:6+k:4", alpha_pattern="k:16"), seed=0)
    learn(adapted.model, 4)
    logits, found = ask(adapted.model), ranks(adapted)
    save(adapted, tmp_path / "adapter")
    detach(adapted)

    again = reload(base, tmp_path / "adapter")

    assert torch.equal(ask(again.model), logits)
    assert ranks(again) == found
    assert set(found.values()) == {2, 4, 6}


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"targets": "qv", "rank_pattern": "mlp:8"}, "lora.rank_pattern: mlp:8 fits none of the adapted layers"),
        ({"targets": "qv", "alpha_pattern": "900:8"}, "lora.alpha_pattern: 900:8 fits none of the adapted layers"),
    ],
)
def test_a_part_that_fits_nothing_is_refused(base: Base, lora: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        attach(base, LoraConfig(**lora), seed=0)

    assert said in str(refused.value)
    assert "q_proj (q)" in str(refused.value)


@pytest.mark.parametrize("text", ["mlp", "mlp:0", "mlp:x", ":8", "mlp=8", "all:8", "mlp:8+", "queries:8"])
def test_a_pattern_that_cannot_be_read_is_refused_with_the_words_there_are(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rules.check(compose([f"lora.rank_pattern='{text}'"]))

    assert f"lora.rank_pattern={text} is not allowed" in str(refused.value)
    assert "as in mlp:8+down:32" in str(refused.value)


@pytest.mark.parametrize("method", sorted(ONE_RANK))
def test_a_method_that_ranks_its_layers_itself_takes_no_pattern(method: Method) -> None:
    with pytest.raises(ConfigError) as refused:
        rules.check(compose([f"lora={method}", "lora.rank_pattern=mlp:8"]))

    assert f"lora.rank_pattern=mlp:8 is not allowed with lora.method={method}" in str(refused.value)
