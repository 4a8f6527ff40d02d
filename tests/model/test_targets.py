from typing import Any

import pytest
import torch
import transformers

from tune.config.recipe import LoraConfig
from tune.errors import ConfigError
from tune.model.load import Base
from tune.model.parts import Layer, roles
from tune.model.targets import choose_layers, linear_layers, summary

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

    chosen = {preset: choose_layers(model, preset) for preset in ("qv", "attention", "qkvo", "mlp", "all_linear")}

    assert chosen["qv"].names == qv
    assert chosen["attention"].names == chosen["qkvo"].names == attention
    assert chosen["mlp"].names == mlp
    assert set(chosen["all_linear"].names) == set(attention) | set(mlp)
    assert chosen["all_linear"].n_layers == 2 * len(attention + mlp)


@pytest.mark.parametrize(
    ("family", "fused"), [("Phi3", "self_attn.qkv_proj"), ("GPT2", "attn.c_attn"), ("Qwen3", None)]
)
def test_a_fused_layer_satisfies_qv_and_is_noted(family: str, fused: str | None) -> None:
    note = choose_layers(build(family), "qv").note

    assert note == (f"{fused} holds query, key and value in one layer, so key is adapted too" if fused else None)


@pytest.mark.parametrize("family", ["GPT2", "Phi3"])
@pytest.mark.filterwarnings("error")
def test_peft_takes_the_names_and_wraps_as_many_layers(family: str) -> None:
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

    chosen = choose_layers(model, "qv")

    # q_proj is in the tower too, so the names are spelt out
    assert chosen.names == tuple(
        f"model.language_model.layers.{layer}.self_attn.{part}" for layer in (0, 1) for part in ("q_proj", "v_proj")
    )


def test_experts_stored_as_one_tensor_are_noted_and_the_gates_between_them_are_left_alone() -> None:
    config = transformers.Qwen2MoeConfig(
        **SMALL, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16, shared_expert_intermediate_size=16
    )
    model = transformers.AutoModelForCausalLM.from_config(config)

    chosen = choose_layers(model, "all_linear")

    assert "mlp.shared_expert_gate" in linear_layers(model).values()
    shared = {f"mlp.shared_expert.{part}_proj" for part in ("gate", "up", "down")}
    assert set(chosen.names) == set(SPLIT[1]) | shared
    assert chosen.note == "the experts are stored as one tensor, not as linear layers, and get no adapter"


def test_a_preset_that_matches_nothing_names_the_layers_there_are() -> None:
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1, state_size=4)
    )

    with pytest.raises(
        ConfigError,
        match=r"q of lora.targets=qv matches no layer of MambaForCausalLM.*mixer.in_proj \(neither attention nor mlp\)",
    ):
        choose_layers(model, "qv")


def test_the_head_and_the_embeddings_are_never_among_them(base: Base) -> None:
    layers = linear_layers(base.model)

    assert len(layers) == 14
    assert "lm_head" not in layers


def tiny(kind: str, **sizes: Any) -> Any:
    with torch.device("meta"):  # names and shapes, no weights
        return transformers.AutoModelForCausalLM.from_config(getattr(transformers, f"{kind}Config")(**sizes))


PLAIN = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GPT = {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
SEPARATE = {part: f"self_attn.{part}_proj" for part in "qkvo"}
GATED = {part: f"mlp.{part}_proj" for part in ("gate", "up", "down")}
FUSED = dict.fromkeys("qkv", "{place}.query_key_value") | {"o": "{place}.dense"}
FOUR_H = {"up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h"}
PARTS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "Llama": (SMALL, SEPARATE | GATED),
    "Gemma2": (SMALL, SEPARATE | GATED),
    "Mixtral": ({**SMALL, "num_local_experts": 2}, SEPARATE),  # its experts are one tensor
    "Phi3": (
        SMALL,
        dict.fromkeys("qkv", "self_attn.qkv_proj")
        | {"o": "self_attn.o_proj", "gate": "mlp.gate_up_proj", "up": "mlp.gate_up_proj", "down": "mlp.down_proj"},
    ),
    "Phi": (PLAIN, SEPARATE | {"o": "self_attn.dense", "up": "mlp.fc1", "down": "mlp.fc2"}),
    "GPT2": (
        GPT,
        dict.fromkeys("qkv", "attn.c_attn") | {"o": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"},
    ),
    "GPTNeoX": (PLAIN, {part: name.format(place="attention") for part, name in FUSED.items()} | FOUR_H),
    "Falcon": (PLAIN, {part: name.format(place="self_attention") for part, name in FUSED.items()} | FOUR_H),
    "Mpt": (
        {"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4},
        dict.fromkeys("qkv", "attn.Wqkv") | {"o": "attn.out_proj", "up": "ffn.up_proj", "down": "ffn.down_proj"},
    ),
    "Bert": (
        {**PLAIN, "intermediate_size": 48, "is_decoder": True},
        {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value"}
        | {"o": "attention.output.dense", "up": "intermediate.dense", "down": "output.dense"},
    ),
}


@pytest.mark.parametrize("family", PARTS)
def test_every_part_is_found_by_name_or_shape_and_a_part_that_is_not_there_is_refused(family: str) -> None:
    sizes, expected = PARTS[family]
    model = tiny(family, **sizes)

    for part in ("q", "k", "v", "o", "gate", "up", "down"):
        if part in expected:
            # BERT's output.dense is the end of attention.output.dense too, so it is spelt out block by block
            assert summary(choose_layers(model, part).names).removesuffix(" in blocks 0-1") == expected[part]
        else:
            with pytest.raises(ConfigError, match=rf"lora.targets={part} matches no layer of .*{SHOWN[family]}"):
                choose_layers(model, part)


SHOWN = dict.fromkeys(PARTS, r"\(q\+k\+v\)") | {"Mixtral": r"\(q\), ", "Phi": r"mlp.fc1 \(up\)", "Bert": r"\(down\)"}


def test_some_parts_together_are_a_subset_and_a_missing_one_is_named() -> None:
    assert choose_layers(tiny("Llama", **SMALL), "q+v+down").names == (
        "self_attn.q_proj",
        "self_attn.v_proj",
        "mlp.down_proj",
    )
    assert choose_layers(tiny("Llama", **SMALL), "q, attention").names == SPLIT[1]
    with pytest.raises(ConfigError, match=r"gate of lora.targets=q\+gate matches no layer of GPT2LMHeadModel"):
        choose_layers(tiny("GPT2", **GPT), "q+gate")


def test_what_a_fused_layer_adapts_besides_is_noted() -> None:
    model = tiny("Phi3", **SMALL)

    assert choose_layers(model, "k").note == (
        "self_attn.qkv_proj holds query, key and value in one layer, so query and value are adapted too"
    )
    assert choose_layers(model, "up").note == "mlp.gate_up_proj holds gate and up in one layer, so gate is adapted too"
    assert choose_layers(model, "q+k+v+gate+up").note is None


def test_latent_attention_has_two_layers_a_part() -> None:
    model = tiny("DeepseekV3", **{**SMALL, "num_key_value_heads": 4}, moe_intermediate_size=16, q_lora_rank=16)

    assert choose_layers(model, "q").names == ("self_attn.q_a_proj", "self_attn.q_b_proj")
    assert choose_layers(model, "k").note == (
        "self_attn.kv_a_proj_with_mqa, self_attn.kv_b_proj holds key and value in one layer, so value is adapted too"
    )


@pytest.mark.parametrize(
    ("names", "widths", "expected"),
    [
        (["ffn.w1", "ffn.w2", "ffn.w3"], [(8, 20), (20, 8), (8, 20)], ["gate", "down", "up"]),
        (["ff_proj", "ff_out"], [(8, 40), (20, 8)], ["gate+up", "down"]),
        (["mlp.fc1", "mlp.fc2"], [(8, 8), (8, 8)], ["up", "down"]),
        (["moe.gate", "moe.experts.0.w1", "moe.experts.0.w2"], [(8, 4), (8, 20), (20, 8)], ["router", "up", "down"]),
        (["attn.W_pack", "attn.proj"], [(8, 24), (8, 8)], ["q+k+v", "o"]),
        (["att_proj", "attn_out"], [(8, 24), (8, 8)], ["q+k+v", "o"]),
        (["attention.wqkv", "attention.wo"], [(8, 16), (8, 8)], ["q+k+v", "o"]),
        (["mamba.in_proj", "mamba.out_proj"], [(8, 32), (16, 8)], ["neither attention nor mlp"] * 2),
    ],
)
def test_layers_of_no_known_architecture_are_told_apart(names, widths, expected) -> None:
    block = [
        Layer(name=f"layers.0.{name}", inside=name, block=0, n_in=n_in, n_out=n_out)
        for name, (n_in, n_out) in zip(names, widths, strict=True)
    ]

    assert [str(role) for role in roles(block, hidden=8).values()] == expected


def test_an_expression_matches_whole_names_of_layers() -> None:
    model = tiny("Llama", **SMALL)

    chosen = choose_layers(model, r"re:.*layers\.1\..*(q|v)_proj")

    assert chosen.names == ("model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj")
    with pytest.raises(ConfigError, match=r"re:q_proj matches no linear layer.*model.layers.0.self_attn.q_proj"):
        choose_layers(model, "re:q_proj")
    with pytest.raises(ConfigError, match=r"re:lm_head matches no linear layer"):
        choose_layers(model, "re:lm_head")


def test_the_summary_folds_blocks() -> None:
    full = [f"model.layers.{block}.self_attn.{part}" for block in (0, 1, 2, 5) for part in ("q_proj", "v_proj")]

    assert summary(full) == "self_attn.q_proj, self_attn.v_proj in blocks 0-2, 5"
    assert summary(["attn.c_attn", "mlp.c_fc"]) == "attn.c_attn, mlp.c_fc"


@pytest.mark.parametrize(
    ("layers", "blocks"),
    [("top 2", (2, 3)), ("top1", (3,)), ("1-2", (1, 2)), ("0+3", (0, 3)), ("0, 2-3", (0, 2, 3)), ("2", (2,))],
)
def test_some_blocks_are_told_by_full_names(layers: str, blocks: tuple[int, ...]) -> None:
    model = tiny("Llama", **{**SMALL, "num_hidden_layers": 4})

    names = choose_layers(model, "o", layers).names

    assert names == tuple(f"model.layers.{block}.self_attn.o_proj" for block in blocks)
    assert choose_layers(model, "o", "all").names == choose_layers(model, "o").names == ("self_attn.o_proj",)


@pytest.mark.parametrize("layers", ["top 5", "4", "0-9"])
def test_blocks_that_are_not_there_are_refused_with_how_many_there_are(layers: str) -> None:
    model = tiny("GPTNeoX", **{**PLAIN, "num_hidden_layers": 4})

    with pytest.raises(ConfigError, match=rf"lora.layers={layers} asks .*GPTNeoXForCausalLM has 4, 0 to 3"):
        choose_layers(model, "qv", layers)


def test_blocks_without_the_wanted_layers_are_refused_with_those_that_have_them() -> None:
    model = tiny("Llama", **{**SMALL, "num_hidden_layers": 4})

    with pytest.raises(ConfigError, match=r"lora.layers=top 1 leaves nothing .* stand in blocks 0-1\. Name"):
        choose_layers(model, r"re:.*\.[01]\..*", "top 1")


def test_peft_wraps_just_the_chosen_blocks_even_when_it_shortens_a_long_list_of_names() -> None:
    from tune.model.adapt import attach

    model = transformers.AutoModelForCausalLM.from_config(
        transformers.LlamaConfig(**{**SMALL, "num_hidden_layers": 12})
    )
    base = Base(model=model, tokenizer=None, device=torch.device("cpu"), dtype=torch.float32, digest="")

    adapted = attach(base, LoraConfig(rank=2, layers="0+2+11"), seed=0)  # 21 names; PEFT shortens from 20 on

    wrapped = [name for name, _ in adapted.model.named_parameters() if name.endswith("lora_A.default.weight")]
    assert len(wrapped) == 21
    assert {name.split(".layers.")[1].split(".")[0] for name in wrapped} == {"0", "2", "11"}
