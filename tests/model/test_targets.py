from typing import Any

import pytest
import transformers

from tune.config.recipe import LoraConfig, Targets
from tune.errors import ConfigError
from tune.model.load import Base
from tune.model.targets import choose_layers, linear_layers

SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SPLIT = (
    ("self_attn.q_proj", "self_attn.v_proj"),
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
)
PHI3 = (
    ("self_attn.qkv_proj",),
    ("self_attn.o_proj", "self_attn.qkv_proj"),
    ("mlp.gate_up_proj", "mlp.down_proj"),
)
GPT2 = (
    ("attn.c_attn",),
    ("attn.c_attn", "attn.c_proj"),
    ("mlp.c_fc", "mlp.c_proj"),
)
OPT = (
    ("self_attn.v_proj", "self_attn.q_proj"),
    ("self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.out_proj"),
    ("fc1", "fc2"),
)
FAMILIES = {
    "Llama": (lambda: transformers.LlamaConfig(**SMALL), SPLIT),
    "Mistral": (lambda: transformers.MistralConfig(**SMALL), SPLIT),
    "Qwen3": (lambda: transformers.Qwen3Config(**SMALL), SPLIT),
    "Gemma3": (lambda: transformers.Gemma3TextConfig(**SMALL), SPLIT),
    "Phi3": (lambda: transformers.Phi3Config(**SMALL), PHI3),
    "GPT2": (lambda: transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=32), GPT2),
    "OPT": (
        lambda: transformers.OPTConfig(
            vocab_size=64,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            word_embed_proj_dim=32,
        ),
        OPT,
    ),
}


def build(family: str) -> Any:
    return transformers.AutoModelForCausalLM.from_config(FAMILIES[family][0]())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_preset_finds_its_layers_in_every_family(family: str) -> None:
    model = build(family)
    qv, attention, mlp = FAMILIES[family][1]

    chosen = {preset: choose_layers(model, preset) for preset in Targets}

    assert chosen[Targets.qv].names == qv
    assert chosen[Targets.attention].names == attention
    assert chosen[Targets.mlp].names == mlp
    assert set(chosen[Targets.all_linear].names) == set(attention) | set(mlp)
    assert chosen[Targets.all_linear].n_layers == 2 * len(attention + mlp)


@pytest.mark.parametrize(
    ("family", "fused"), [("Phi3", "self_attn.qkv_proj"), ("GPT2", "attn.c_attn"), ("Qwen3", None)]
)
def test_a_fused_layer_satisfies_qv_and_is_noted(family: str, fused: str | None) -> None:
    note = choose_layers(build(family), Targets.qv).note

    assert note == (f"{fused} holds query, key and value in one layer, so key is adapted too" if fused else None)


@pytest.mark.parametrize("family", ["GPT2", "Phi3"])
@pytest.mark.filterwarnings("error")
def test_peft_takes_the_names_and_wraps_as_many_layers(family: str) -> None:
    import torch

    from tune.model.adapt import attach

    model = build(family)
    base = Base(model=model, tokenizer=None, device=torch.device("cpu"), dtype=torch.float32, digest="")

    adapted = attach(base, LoraConfig(rank=2), seed=0)

    n_adapters = sum(name.endswith("lora_A.default.weight") for name, _ in adapted.model.named_parameters())
    assert n_adapters == 8  # four kinds in each of two blocks


def test_the_tower_for_pictures_is_left_alone() -> None:
    config = transformers.Gemma3Config(
        text_config={**SMALL},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "image_size": 28,
            "patch_size": 14,
        },
        mm_tokens_per_image=4,
    )
    model = transformers.AutoModelForImageTextToText.from_config(config)

    chosen = choose_layers(model, Targets.qv)

    # q_proj is in the tower too, so the names are spelt out
    assert chosen.names == tuple(
        f"model.language_model.layers.{layer}.self_attn.{part}" for layer in (0, 1) for part in ("q_proj", "v_proj")
    )


def test_experts_stored_as_one_tensor_are_noted_and_the_gates_between_them_are_left_alone() -> None:
    config = transformers.Qwen2MoeConfig(
        **SMALL, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16, shared_expert_intermediate_size=16
    )
    model = transformers.AutoModelForCausalLM.from_config(config)

    chosen = choose_layers(model, Targets.all_linear)

    assert "mlp.shared_expert_gate" in linear_layers(model).values()
    shared = {f"mlp.shared_expert.{part}_proj" for part in ("gate", "up", "down")}
    assert set(chosen.names) == set(SPLIT[1]) | shared
    assert chosen.note == "the experts are stored as one tensor, not as linear layers, and get no adapter"


def test_a_preset_that_matches_nothing_names_the_layers_there_are() -> None:
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1, state_size=4)
    )

    with pytest.raises(ConfigError, match=r"lora.targets=qv matches no layer of MambaForCausalLM. .*mixer.in_proj"):
        choose_layers(model, Targets.qv)


def test_the_head_and_the_embeddings_are_never_among_them(base: Base) -> None:
    layers = linear_layers(base.model)

    assert len(layers) == 14
    assert "lm_head" not in layers
