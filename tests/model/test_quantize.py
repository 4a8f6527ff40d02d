import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tune.config.recipe import LoraConfig, QuantizationKind
from tune.model.adapt import attach
from tune.model.load import Base
from tune.model.quantize import footprint_gib, quantized_layers

Load = Callable[[QuantizationKind], Base]


def test_nf4_stores_the_blocks_and_leaves_the_head(load: Load) -> None:
    base = load(QuantizationKind.nf4)

    assert len(quantized_layers(base.model)) == 14  # seven in each of two blocks
    assert type(base.model.lm_head) is torch.nn.Linear
    assert quantized_layers(base.model)[0].compute_dtype == torch.float32


def test_the_footprint_saved_by_nf4_by_hand(load: Load) -> None:
    # 2 blocks of 36,864 weights: 4 bytes each before; after, half a byte each, one byte a block of 64
    # and, since no layer has more than 256 blocks, one float a layer
    n_weights = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64)
    saved = n_weights * 4 - (n_weights // 2 + n_weights // 64 + 14 * 4)

    gib = footprint_gib(load(QuantizationKind.none).model) - footprint_gib(load(QuantizationKind.nf4).model)

    assert gib * 1024**3 == pytest.approx(saved)


def test_nf4_answers_nearly_as_the_full_base(load: Load, ask: Callable[[Any], Any]) -> None:
    full, quantized = ask(load(QuantizationKind.none).model), ask(load(QuantizationKind.nf4).model)

    likeness = torch.nn.functional.cosine_similarity(full.flatten(), quantized.flatten(), dim=0)
    assert 0.8 < likeness < 1.0


def test_nf4_gives_every_adapter_a_gradient_also_after_the_base_was_scored(
    load: Load, ask: Callable[[Any], Any], learn: Callable[[Any, int], list[float]]
) -> None:
    base = load(QuantizationKind.nf4)
    before = ask(base.model)
    adapted = attach(base, LoraConfig(rank=4), seed=0)

    losses = learn(adapted.model, 3)

    gradients = {name: p.grad for name, p in adapted.model.named_parameters() if p.requires_grad}
    # after the first step B is not zero any more, so A learns too
    assert [name for name, gradient in gradients.items() if not gradient.any()] == []
    assert losses[-1] < losses[0]
    with adapted.model.disable_adapter():
        assert torch.equal(ask(adapted.model), before)


def test_loading_in_four_bits_drops_one_piece_of_advice_and_no_other_warning(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    load(QuantizationKind.nf4)
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    logger.warning("Failed to load CPU gemm_4bit_forward from kernels-community: %s.", "No module named 'kernels'")
    logger.warning("something else")

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == ["something else"]
