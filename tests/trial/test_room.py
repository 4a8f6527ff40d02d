"""A model with learned positions is never asked for a place that it has no embedding for."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tune.errors import ConfigError
from tune.model.positions import n_places
from tune.track.memory_store import MemoryStore
from tune.trial.bench import Bench
from tune.trial.run import run_trial


@pytest.fixture
def learned(bench: Bench) -> Any:
    """Return the bench with a GPT-2 that has so many places."""
    from transformers import GPT2Config, GPT2LMHeadModel

    def learned(n: int) -> Bench:
        torch.manual_seed(0)
        tokenizer = bench.base.tokenizer
        config = GPT2Config(
            vocab_size=len(tokenizer), n_positions=n, n_embd=32, n_layer=2, n_head=2,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        network = GPT2LMHeadModel(config).eval().requires_grad_(requires_grad=False)
        return replace(bench, base=replace(bench.base, model=network, digest=f"gpt2-{n}"), model_key="gpt2")

    return learned


def run(config, bench: Bench, folder: Path) -> Any:
    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})
    return run_trial(config, bench, folder=folder, recorder=recorder, on=lambda *_: None)


def needed(config, learned: Any, folder: Path) -> int:
    """Return how many places the trial says it needs: the least with which it is not refused."""
    n = 8
    while True:
        try:
            run(config, learned(n), folder)
        except ConfigError as error:
            found = re.search(r"(\d+)(?: tokens)?\. Take", str(error))
            assert found is not None
            n = max(n + 1, int(found[1]))
        else:
            return n


def test_what_computes_its_positions_has_no_last_place(bench: Bench, learned: Any) -> None:
    from transformers import OPTConfig, OPTForCausalLM

    opt = OPTForCausalLM(
        OPTConfig(vocab_size=64, hidden_size=16, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2,
                  max_position_embeddings=40, word_embed_proj_dim=16)
    )  # fmt: skip

    assert n_places(bench.base.model) is None
    assert n_places(learned(48).base.model) == 48
    assert n_places(opt) == 40


@pytest.mark.parametrize("method", ["prompt", "prefix"])
def test_virtual_tokens_at_the_edge_fit_and_one_more_is_refused_before_anything_runs(
    small, learned: Any, tmp_path: Path, method: str
) -> None:
    words = [f"lora={method}", "lora.virtual_tokens=6"]
    most = needed(small(*words), learned, tmp_path)

    with pytest.raises(ConfigError) as refused:
        run(small(f"lora={method}", "lora.virtual_tokens=7"), learned(most), tmp_path / "more")

    said = str(refused.value)
    assert f"GPT2LMHeadModel has learned positions for {most} tokens and none beyond: the longest" in said
    assert f"with lora.virtual_tokens=7 before it {most + 1}. Take lora.virtual_tokens=6 or less, or" in said
    assert not (tmp_path / "more").exists(), "nothing was trained"


def test_without_virtual_tokens_every_length_is_named_with_its_way_out(small, learned: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"the longest training example has \d+ tokens\. Take a smaller train.max_length"
    ):
        run(small(), learned(16), tmp_path)
    with pytest.raises(
        ConfigError, match=r"question with its reply has \d+ tokens\. Take a smaller data.max_new_tokens"
    ):
        run(small("data.max_new_tokens=400"), learned(500), tmp_path)
