import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tune.config.model import Device, Dtype, ModelConfig
from tune.config.recipe import QuantizationConfig
from tune.errors import AssetError, ConfigError
from tune.model.assets import embedded_folder
from tune.model.digest import weights_digest
from tune.model.load import Base, load_base

CPU = ModelConfig(device=Device.cpu)


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return the tiny model as a user's own folder: no manifest."""
    shutil.copytree(tiny_folder, tmp_path / "copy", ignore=shutil.ignore_patterns("manifest.json"))
    return tmp_path / "copy"


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_base_is_frozen_and_in_eval_mode(base: Base) -> None:
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert base.model.config.use_cache
    assert base.model.config._attn_implementation == "sdpa"


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks what happens without CUDA")
def test_without_cuda_auto_is_float32_on_cpu_and_cuda_is_an_error(base: Base, tiny_folder: Path) -> None:
    assert (base.device, base.dtype) == (torch.device("cpu"), torch.float32)
    with pytest.raises(ConfigError, match=r"model.device=cuda, but torch sees no CUDA device. Use model.device=cpu"):
        load_base(ModelConfig(device=Device.cuda), QuantizationConfig(), folder=tiny_folder)


def test_a_named_dtype_is_used(tiny_folder: Path) -> None:
    base = load_base(ModelConfig(device=Device.cpu, dtype=Dtype.bfloat16), QuantizationConfig(), folder=tiny_folder)

    assert base.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in base.model.parameters()} == {torch.bfloat16}


def test_the_digest_follows_the_weights_not_the_folder(base: Base, copy: Path) -> None:
    assert len(base.digest) == 64
    assert load_base(CPU, QuantizationConfig(), folder=copy).digest == base.digest

    edit_json(copy / "config.json", transformers_version="9.9")
    assert weights_digest(copy) == base.digest

    edit_json(copy / "config.json", rms_norm_eps=1e-3)
    assert weights_digest(copy) != base.digest


def test_a_changed_weight_changes_the_digest_although_it_was_remembered(copy: Path) -> None:
    before = weights_digest(copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")

    assert weights_digest(copy) != before


def test_a_model_that_lacks_a_tensor_is_refused_not_filled_with_random_numbers(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(AssetError, match=r"lack 1 tensors of this architecture \(model.layers.1.mlp.up_proj.weight\)"):
        load_base(CPU, QuantizationConfig(), folder=copy)


def test_truncated_weights_are_one_paragraph(copy: Path) -> None:
    os.truncate(copy / "model.safetensors", 1000)

    with pytest.raises(AssetError, match=r"cannot be loaded: .* Copy or fetch it again"):
        load_base(CPU, QuantizationConfig(), folder=copy)


def test_an_architecture_that_is_not_known_is_one_paragraph(copy: Path) -> None:
    edit_json(copy / "config.json", model_type="novel")

    with pytest.raises(AssetError, match="cannot be loaded"):
        load_base(CPU, QuantizationConfig(), folder=copy)


def test_padding_takes_a_reserved_token_before_the_end_token(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit_json(copy / "tokenizer_config.json", pad_token=None)

    base = load_base(CPU, QuantizationConfig(), folder=copy)

    assert base.model.generation_config.pad_token_id == base.tokenizer.pad_token_id == 3  # <|pad|>
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_hub_id_that_cannot_be_had_is_one_paragraph(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(AssetError, match=r"model.path=nobody/nothing is no local folder, and the hub does not give it"):
        load_base(ModelConfig(path="nobody/nothing"), QuantizationConfig(), folder="nobody/nothing")


@pytest.mark.real
def test_the_real_model_knows_the_capital_of_france() -> None:
    folder = embedded_folder("smollm2_135m", texts=(), announce=print)
    base = load_base(ModelConfig(device=Device.cpu), QuantizationConfig(), folder=folder)

    assert base.model.num_parameters() == 134_515_008
    assert chat(base, "What is the capital of France?") == "The capital of France is Paris."
    prompt = base.tokenizer("The capital of France is", return_tensors="pt")
    reply = base.model.generate(**prompt, max_new_tokens=2, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert base.tokenizer.decode(reply) == " Paris."


def chat(base: Base, question: str) -> str:
    asked = [{"role": "user", "content": question}]
    prompt = base.tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    reply = base.model.generate(**prompt, max_new_tokens=16, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    return str(base.tokenizer.decode(reply, skip_special_tokens=True))


def test_a_loaded_base_gives_the_same_logits_again(base: Base, tiny_folder: Path, ask: Callable[[Any], Any]) -> None:
    again = load_base(CPU, QuantizationConfig(), folder=tiny_folder)

    assert torch.equal(ask(base.model), ask(again.model))


def test_what_a_model_brings_to_change_its_replies_is_left_out(copy: Path) -> None:
    settings = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "temperature": 0.2, "eos_token_id": [1, 2]}
    (copy / "generation_config.json").write_text(json.dumps(settings))

    loaded = load_base(CPU, QuantizationConfig(), folder=copy)

    own = loaded.model.generation_config
    assert (own.repetition_penalty, own.no_repeat_ngram_size, own.temperature) == (None, None, None)
    assert (own.eos_token_id, own.pad_token_id) == ([1, 2], loaded.tokenizer.pad_token_id)
