"""The GPU's peak against the estimate, and an error for want of memory."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.train.toy import tokenizer
from tune.config.model import Device, ModelConfig
from tune.config.optimizer import Optimizer
from tune.config.recipe import QuantizationKind
from tune.config.schema import Config
from tune.model.adapt import attach
from tune.model.load import Base
from tune.model.memory import Lengths, estimate
from tune.model.quantize import bits_config
from tune.train.fit import fit
from tune.train.watch import Follow
from tune.trial.failure import failure

pytestmark = pytest.mark.gpu

GIB = 1024**3
LENGTH, LEARNED = 512, 128
SIZES = LlamaConfig(  # about 300 million parameters
    vocab_size=32_000, hidden_size=1024, intermediate_size=2816, num_hidden_layers=16, num_attention_heads=16,
    num_key_value_heads=8, bos_token_id=2, eos_token_id=1, pad_token_id=0, tie_word_embeddings=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    LlamaForCausalLM(SIZES).to(torch.bfloat16).save_pretrained(folder)
    return folder


def load(folder: Path, config: Config, device: str) -> Base:
    quantized = config.quantization.kind is not QuantizationKind.none
    extra = {"quantization_config": bits_config(config.quantization, dtype=torch.bfloat16)} if quantized else {}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map={"": device}, **extra)
    model.eval().requires_grad_(requires_grad=False)
    return Base(model=model, tokenizer=tokenizer(), device=model.device, dtype=torch.bfloat16, digest="")


@pytest.mark.parametrize("optimizer", [Optimizer.adamw, Optimizer.adamw_8bit])
@pytest.mark.parametrize(("batch", "rank", "checkpointing"), [(1, 64, False), (8, 16, False), (8, 16, True)])
@pytest.mark.parametrize("kind", [QuantizationKind.none, QuantizationKind.nf4])
def test_the_measured_peak_is_within_a_fifth_of_the_estimate(  # noqa: PLR0913, PLR0917 - each a part of the case
    folder: Path,
    device: str,
    note: Callable[..., None],
    kind: QuantizationKind,
    batch: int,
    rank: int,
    checkpointing: bool,
    optimizer: Optimizer,
) -> None:
    config = Config(model=ModelConfig(device=Device.cuda))
    config.quantization.kind, config.lora.rank, config.train.optimizer = kind, rank, optimizer
    config.train.batch_size, config.train.gradient_checkpointing = batch, checkpointing
    config.train.max_length, config.train.max_steps = LENGTH, 3
    lengths = Lengths(example=LENGTH, learned=LEARNED, prompt=LENGTH - LEARNED)
    labels = [-100] * (LENGTH - LEARNED) + [5] * LEARNED
    rows = Dataset.from_list([{"input_ids": [5] * LENGTH, "labels": labels}] * (3 * batch))

    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        measured = _peak(folder, config, rows, device)
    estimated = estimate(config, SIZES, lengths=lengths).peak_training

    note(measured_gib=measured, estimated_gib=estimated, off=f"{estimated / measured - 1:+.0%}")
    assert estimated == pytest.approx(measured, rel=0.2)


def _peak(folder: Path, config: Config, rows: Any, device: str) -> float:
    """Return the most GiB that torch held while it trained, above what it held before."""
    gc.collect()  # the model of the test before
    before = torch.cuda.memory_allocated()
    base = load(folder, config, device)
    adapted = attach(base, config.lora, seed=0)
    torch.cuda.reset_peak_memory_stats()
    fit(adapted.model, base.tokenizer, rows, config.train, seed=0, follow=Follow(on_step=lambda *_: None))
    return (torch.cuda.max_memory_allocated() - before) / GIB


def test_memory_that_runs_out_is_recognised(device: str, note: Callable[..., None]) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**46, dtype=torch.uint8, device=device)

    outcome = failure(caught.value)
    note(raised=type(caught.value).__name__)
    assert outcome.reason == "oom"
