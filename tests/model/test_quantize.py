import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tune.config import rules
from tune.config.compose import compose
from tune.config.model import Dtype
from tune.config.recipe import LoraConfig, QuantizationKind, StorageDtype
from tune.errors import ConfigError
from tune.model import adapt
from tune.model.adapt import attach
from tune.model.load import Base
from tune.model.quantize import footprint_gib, quantized_layers

Load = Callable[..., Base]

# Every way to store the base; a new kind without a row here fails the first test.
STORED: list[tuple[QuantizationKind, dict[str, Any]]] = [
    (QuantizationKind.nf4, {}),
    (QuantizationKind.nf4, {"double": True}),
    (QuantizationKind.fp4, {}),
    (QuantizationKind.fp4, {"double": True}),
    (QuantizationKind.int8, {}),
]
NAMES = ["nf4", "nf4_double", "fp4", "fp4_double", "int8"]
EVERY_STORAGE = pytest.mark.parametrize(("kind", "settings"), STORED, ids=NAMES)

N_WEIGHTS = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64)  # of the linear layers of two blocks: 73,728
N_ROWS = 2 * (2 * 64 + 2 * 32 + 2 * 128 + 64)  # q, o; k, v; gate, up; down: 1,024


def test_every_kind_has_a_row() -> None:
    assert {kind for kind, _ in STORED} == set(QuantizationKind) - {QuantizationKind.none}


@EVERY_STORAGE
def test_the_blocks_are_stored_small_and_the_head_is_left(load: Load, kind: QuantizationKind, settings: dict) -> None:
    base = load(kind, **settings)

    assert len(quantized_layers(base.model)) == 14  # seven in each of two blocks
    assert type(base.model.lm_head) is torch.nn.Linear


@pytest.mark.parametrize(
    ("kind", "settings", "n_bytes"),
    [
        # half a byte a weight and a float a block of 64
        (QuantizationKind.nf4, {}, N_WEIGHTS // 2 + N_WEIGHTS // 64 * 4),
        (QuantizationKind.fp4, {}, N_WEIGHTS // 2 + N_WEIGHTS // 64 * 4),
        # a byte a block and, since no layer has more than 256 blocks, one float a layer
        (QuantizationKind.nf4, {"double": True}, N_WEIGHTS // 2 + N_WEIGHTS // 64 + 14 * 4),
        (QuantizationKind.fp4, {"double": True}, N_WEIGHTS // 2 + N_WEIGHTS // 64 + 14 * 4),
        # what they are packed in changes no byte
        (QuantizationKind.nf4, {"storage_dtype": StorageDtype.float32}, N_WEIGHTS // 2 + N_WEIGHTS // 64 * 4),
        # a byte a weight and a float a row
        (QuantizationKind.int8, {}, N_WEIGHTS + N_ROWS * 4),
    ],
)
def test_the_footprint_saved_by_hand(
    load: Load, ask: Callable[[Any], Any], kind: QuantizationKind, settings: dict, n_bytes: int
) -> None:
    full, base = footprint_gib(load(QuantizationKind.none).model), load(kind, **settings)

    saved = full - footprint_gib(base.model)
    ask(base.model)  # int8 moves its scales at the first forward pass

    assert saved * 1024**3 == pytest.approx(4 * N_WEIGHTS - n_bytes)
    assert full - footprint_gib(base.model) == saved


@pytest.mark.parametrize(
    ("kind", "least"), [(QuantizationKind.nf4, 0.85), (QuantizationKind.fp4, 0.75), (QuantizationKind.int8, 0.99)]
)
def test_it_answers_nearly_as_the_full_base(
    load: Load, ask: Callable[[Any], Any], kind: QuantizationKind, least: float
) -> None:
    full, quantized = ask(load(QuantizationKind.none).model), ask(load(kind).model)

    likeness = torch.nn.functional.cosine_similarity(full.flatten(), quantized.flatten(), dim=0)
    assert least < likeness < 1.0


@EVERY_STORAGE
def test_every_adapter_gets_a_gradient_also_after_the_base_was_scored(
    load: Load, ask: Callable[[Any], Any], learn: Callable[[Any, int], list[float]], kind: QuantizationKind, settings
) -> None:
    base = load(kind, **settings)
    before = ask(base.model)
    adapted = attach(base, LoraConfig(rank=4), seed=0)

    losses = learn(adapted.model, 3)

    gradients = {name: p.grad for name, p in adapted.model.named_parameters() if p.requires_grad}
    # after the first step B is not zero any more, so A learns too
    assert [name for name, gradient in gradients.items() if not gradient.any()] == []
    assert losses[-1] < losses[0]
    with adapted.model.disable_adapter():
        assert torch.equal(ask(adapted.model), before)


@EVERY_STORAGE
def test_a_reloaded_adapter_has_equal_logits_and_the_base_is_left_as_it_was(
    load: Load, ask, learn, tmp_path: Path, kind: QuantizationKind, settings: dict
) -> None:
    base = load(kind, **settings)
    alone = ask(base.model)
    adapted = attach(base, LoraConfig(rank=4), seed=0)
    learn(adapted.model, 3)
    live = ask(adapted.model)
    adapt.save(adapted, tmp_path / "adapter")
    adapt.detach(adapted)

    assert torch.equal(ask(base.model), alone)
    assert torch.equal(ask(adapt.reload(load(kind, **settings), tmp_path / "adapter").model), live)
    assert not torch.equal(live, alone)


@EVERY_STORAGE
def test_scoring_leaves_every_stored_byte(load: Load, ask, kind: QuantizationKind, settings: dict) -> None:
    model = load(kind, **settings).model
    layers = quantized_layers(model)
    before = [layer.weight.data.clone() for layer in layers]

    ask(model)

    assert all(torch.equal(old, layer.weight.data) for old, layer in zip(before, layers, strict=True))


@pytest.mark.parametrize("storage", list(StorageDtype))
@pytest.mark.parametrize("kind", [QuantizationKind.nf4, QuantizationKind.fp4])
def test_what_the_bits_are_packed_in_changes_no_logit(
    load: Load, ask, learn, kind: QuantizationKind, storage: StorageDtype
) -> None:
    base = load(kind, storage_dtype=storage)

    assert quantized_layers(base.model)[0].weight.dtype == getattr(torch, storage.value)
    assert torch.equal(ask(base.model), ask(load(kind).model))
    losses = learn(attach(base, LoraConfig(rank=4), seed=0).model, 3)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("dtype", "compute", "multiplied_in"),
    [
        (Dtype.float32, Dtype.auto, torch.float32),
        (Dtype.bfloat16, Dtype.auto, torch.bfloat16),
        (Dtype.float32, Dtype.bfloat16, torch.bfloat16),
        (Dtype.float32, Dtype.float16, torch.float16),
        (Dtype.bfloat16, Dtype.float32, torch.float32),
    ],
)
def test_what_four_bit_layers_are_multiplied_in(load: Load, ask, learn, dtype, compute, multiplied_in) -> None:
    base = load(QuantizationKind.nf4, dtype=dtype, compute_dtype=compute)

    logits = ask(base.model)
    losses = learn(attach(base, LoraConfig(rank=4), seed=0).model, 3)

    assert {layer.compute_dtype for layer in quantized_layers(base.model)} == {multiplied_in}
    assert logits.dtype == base.dtype == getattr(torch, dtype.value)
    assert losses[-1] < losses[0]


def test_another_compute_dtype_gives_other_logits(load: Load, ask) -> None:
    exact, rounded = (load(QuantizationKind.nf4, compute_dtype=dtype) for dtype in (Dtype.float32, Dtype.bfloat16))

    assert not torch.equal(ask(exact.model), ask(rounded.model))


def test_quantized_bases_say_nothing_of_themselves_and_other_warnings_come_through(
    load: Load, ask, caplog: pytest.LogCaptureFixture
) -> None:
    for kind, settings in STORED:
        ask(load(kind, **settings).model)
    kernels, rounding = (
        logging.getLogger(f"bitsandbytes.{name}") for name in ("backends.cpu.ops", "autograd._functions")
    )
    kernels.warning("Failed to load CPU gemm_4bit_forward from kernels-community: %s.", "No module named 'kernels'")
    kernels.warning("something else")
    rounding.warning("and this")

    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["something else", "and this"]


def test_nf4_is_plain_and_nf4_double_is_qlora() -> None:
    options = {name: compose([f"quantization={name}"]).quantization for name in ("nf4", "nf4_double", "fp4", "int8")}

    assert {name: (option.kind.value, option.double) for name, option in options.items()} == {
        "nf4": ("nf4", False),
        "nf4_double": ("nf4", True),
        "fp4": ("fp4", False),
        "int8": ("int8", False),
    }


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("quantization.double=true", r"quantization\.double=true has no effect .*leave it at false"),
        ("quantization.compute_dtype=bfloat16", r"compute_dtype=bfloat16 has no effect .*leave it at auto"),
        ("quantization.storage_dtype=float16", r"storage_dtype=float16 has no effect .*leave it at uint8"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "why"), [("int8", "kind=int8: int8 has one constant a row"), ("none", "kind=none: nothing is quantized")]
)
def test_a_setting_of_four_bits_is_refused_elsewhere(kind: str, why: str, override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        rules.check(compose([f"quantization={kind}", override]))

    assert why in str(caught.value)
    assert "It is allowed with nf4 and fp4" in str(caught.value)
    rules.check(compose(["quantization=fp4", override]))
