"""What PEFT's prepare_model_for_kbit_training does to a base, and that training here has what is needed without it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import prepare_model_for_kbit_training

from tests.train.toy import ROWS
from tune.config.model import Dtype
from tune.config.recipe import LoraConfig, QuantizationKind, TrainConfig
from tune.model.adapt import attach, detach
from tune.model.load import Base
from tune.model.quantize import quantized_layers
from tune.train.fit import fit
from tune.train.watch import Follow

Load = Callable[..., Base]
OLD_NAME = pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
"""PEFT 0.21 turns checkpointing on by transformers' old name."""

ON_TOP = {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}


def kept_dtypes(model: Any) -> dict[str, torch.dtype]:
    """Return the formats of what is not quantized."""
    packed = {id(layer.weight) for layer in quantized_layers(model)}
    return {name: p.dtype for name, p in model.named_parameters() if id(p) not in packed}


@OLD_NAME
def test_it_casts_norms_embeddings_and_head_which_moves_the_scores(load: Load, ask: Callable[[Any], Any]) -> None:
    model = load(QuantizationKind.nf4, dtype=Dtype.bfloat16).model
    before, packed = ask(model), [layer.weight.dtype for layer in quantized_layers(model)]
    n_bytes = model.get_memory_footprint()
    assert set(kept_dtypes(model).values()) == {torch.bfloat16}

    prepared = prepare_model_for_kbit_training(model)

    assert prepared is model, "it is no copy: the base itself is changed"
    assert set(kept_dtypes(model).values()) == {torch.float32}
    assert set(kept_dtypes(model)) > ON_TOP
    assert [layer.weight.dtype for layer in quantized_layers(model)] == packed
    assert model.get_memory_footprint() > n_bytes
    assert not torch.equal(ask(model).float(), before.float())


@OLD_NAME
def test_it_turns_checkpointing_on_and_lets_the_embeddings_ask_for_gradients(load: Load) -> None:
    model = load(QuantizationKind.nf4).model
    assert not model.is_gradient_checkpointing

    prepare_model_for_kbit_training(model)

    assert model.is_gradient_checkpointing
    assert model.get_input_embeddings()(torch.arange(3)[None]).requires_grad
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_freezing_is_all_that_it_does_to_a_float32_base_without_checkpointing(load: Load, ask) -> None:
    model = load(QuantizationKind.nf4).model
    before, formats = ask(model), kept_dtypes(model)

    prepare_model_for_kbit_training(model.requires_grad_(requires_grad=False), use_gradient_checkpointing=False)

    assert kept_dtypes(model) == formats
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(ask(model), before)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", [Dtype.float32, Dtype.bfloat16])
@pytest.mark.parametrize("kind", [QuantizationKind.nf4, QuantizationKind.int8])
def test_without_it_gradients_reach_every_layer_and_the_base_scores_as_before(
    load: Load, ask: Callable[[Any], Any], kind: QuantizationKind, dtype: Dtype, checkpointing: bool
) -> None:
    base = load(kind, dtype=dtype)
    before, formats = ask(base.model), kept_dtypes(base.model)
    adapted = attach(base, LoraConfig(rank=2), seed=0)
    start = {name: p.detach().clone() for name, p in adapted.model.named_parameters() if p.requires_grad}
    assert {p.dtype for p in start.values()} == {torch.float32}
    recipe = TrainConfig(
        batch_size=5, epochs=1, warmup_share=0.0, learning_rate=1e-2, gradient_checkpointing=checkpointing
    )

    recomputed: list[bool] = []

    def on_step(*_: object) -> None:
        recomputed.append(base.model.is_gradient_checkpointing)

    fit(adapted.model, base.tokenizer, ROWS, recipe, seed=0, follow=Follow(on_step=on_step))

    assert recomputed == [checkpointing, checkpointing]
    # Two steps: the first moves every B away from zero, and then every A has a gradient.
    moved = {name: not torch.equal(p, start[name]) for name, p in adapted.model.named_parameters() if name in start}
    assert [name for name, has_moved in moved.items() if not has_moved] == []
    assert len(moved) == 2 * 14
    detach(adapted)
    assert kept_dtypes(base.model) == formats
    assert not base.model.is_gradient_checkpointing
    assert torch.equal(ask(base.model), before)
