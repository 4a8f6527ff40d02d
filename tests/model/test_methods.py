"""Every method with every quantization: trains, is saved, leaves the base alone and comes back; or a rule refuses."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tune.config import rules
from tune.config.compose import compose
from tune.config.method import BEGUN_FROM_WEIGHTS, RATE_FACTOR, WITHOUT_LAYERS, Method
from tune.config.model import Dtype
from tune.config.recipe import LoraConfig, QuantizationConfig, QuantizationKind
from tune.config.schema import Config
from tune.errors import AssetError, ConfigError, DataError, Diverged, NothingLearned
from tune.model.adapt import Adapted, attach, detach, reload, save, settle
from tune.model.load import Base
from tune.study.leftovers import trouble_with_adapter

Load = Callable[[QuantizationKind], Base]
Ask = Callable[[Any], Any]
Learn = Callable[[Any, int], list[float]]


def recipe(method: Method) -> LoraConfig:
    return LoraConfig(method=method, rank=4, alpha=8)


ROWS = [{"input_ids": [(7 * row + 3 * place) % 60 + 4 for place in range(30)]} for row in range(20)]
"""What EVA looks at."""


def at_home(method: Method) -> QuantizationKind:
    """Return a kind of base that the method works on."""
    return QuantizationKind.nf4 if method is Method.loftq else QuantizationKind.none


def refusal(method: Method, kind: QuantizationKind) -> str | None:
    try:
        rules.check(Config(lora=LoraConfig(method=method), quantization=QuantizationConfig(kind=kind)))
    except ConfigError as error:
        return str(error)
    return None


def everything(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def trained(adapted: Adapted) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in adapted.model.named_parameters() if p.requires_grad}


TEXT_IN_FRONT = {Method.prompt, Method.prefix}
PAIRS = list(product(Method, QuantizationKind))
ALLOWED = [pair for pair in PAIRS if refusal(*pair) is None]
REFUSED = [pair for pair in PAIRS if pair not in ALLOWED]


@pytest.mark.parametrize(("method", "kind"), ALLOWED)
def test_a_method_trains_is_saved_leaves_the_base_alone_and_comes_back(
    load: Load, ask: Ask, learn: Learn, tmp_path: Path, method: Method, kind: QuantizationKind
) -> None:
    base = load(kind)
    weights, before = everything(base.model), ask(base.model)

    adapted = attach(base, recipe(method), seed=0, rows=ROWS)
    fresh = ask(adapted.model)
    losses = learn(adapted.model, 4)
    unsettled = ask(adapted.model)
    adapted = settle(adapted)
    logits = ask(adapted.model)
    save(adapted, tmp_path / "adapter")
    detach(adapted)

    if method is Method.loftq:
        whole = ask(load(QuantizationKind.none).model)
        assert (fresh - whole).norm() < (before - whole).norm(), "it mends some of what quantization did"
    elif method not in TEXT_IN_FRONT:
        assert torch.allclose(fresh, before, atol=1e-3), "a fresh adapter changes nothing"
    assert losses[-1] < losses[0]
    assert torch.allclose(logits, unsettled, atol=1e-3), "settling changes how it is written, not what it does"
    assert not torch.allclose(logits, before, atol=1e-2), "it has learned something that can be seen"
    assert same(everything(base.model), weights)
    assert torch.equal(ask(base.model), before)
    again = reload(base, tmp_path / "adapter")
    assert torch.equal(ask(again.model), logits)
    assert again.trainable == adapted.trainable or method in BEGUN_FROM_WEIGHTS | {Method.adalora}
    detach(again)
    assert same(everything(base.model), weights), "what was reloaded is taken off too"
    assert torch.equal(ask(reload(load(kind), tmp_path / "adapter").model), logits), "on a base that was never adapted"


@pytest.mark.parametrize(("method", "kind"), REFUSED)
def test_a_pair_that_cannot_work_is_refused_with_its_reason(method: Method, kind: QuantizationKind) -> None:
    said = refusal(method, kind)

    assert said is not None
    for words in (f"lora.method={method}", f"quantization.kind={kind}", f"Take quantization={at_home(method)}"):
        assert words in said


def test_what_is_refused_is_what_has_no_weights_to_begin_from_or_to_train_or_to_mend() -> None:
    quantized = [kind for kind in QuantizationKind if kind is not QuantizationKind.none]
    no_start = {*product(BEGUN_FROM_WEIGHTS, quantized)}
    nothing_to_mend = {(Method.loftq, QuantizationKind.none), (Method.loftq, QuantizationKind.int8)}

    no_gradient = {*product([Method.full], quantized)}
    assert set(REFUSED) == no_start | no_gradient | nothing_to_mend | {(Method.dora, QuantizationKind.int8)}
    assert len(PAIRS) == len(Method) * len(QuantizationKind)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT 0.21
@pytest.mark.parametrize("method", sorted(set(Method) - {Method.full}))  # which PEFT has no part in
def test_peft_itself_reads_what_a_method_saves(
    load: Load, ask: Ask, learn: Learn, tmp_path: Path, method: Method
) -> None:
    from peft import PeftModel

    adapted = attach(load(at_home(method)), recipe(method), seed=0, rows=ROWS)
    learn(adapted.model, 3)
    adapted = settle(adapted)
    save(adapted, tmp_path / "adapter")

    theirs = PeftModel.from_pretrained(load(at_home(method)).model, tmp_path / "adapter")

    logits = ask(adapted.model)
    # PEFT gives logits for virtual tokens of prompt tuning too, in front of the text's.
    assert torch.equal(ask(theirs)[:, -logits.shape[1] :], logits)


@pytest.mark.parametrize("method", Method)
def test_the_same_seed_gives_the_same_start(load: Load, method: Method) -> None:
    base = load(at_home(method))
    first = trained(adapted := attach(base, recipe(method), seed=1, rows=ROWS))
    detach(adapted)
    torch.rand(7)

    assert same(first, trained(attach(base, recipe(method), seed=1, rows=ROWS)))


@pytest.mark.parametrize("method", Method)
def test_an_adapter_that_learned_nothing_is_not_saved(load: Load, tmp_path: Path, method: Method) -> None:
    adapted = attach(load(at_home(method)), recipe(method), seed=0, rows=ROWS)

    with pytest.raises(NothingLearned, match=r"so (it|the adapter) changes nothing: not saved"):
        save(settle(adapted), tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", Method)
def test_an_adapter_on_a_bfloat16_base_is_float32_and_leaves_it_alone(load: Load, learn: Learn, method: Method) -> None:
    base = load(at_home(method), dtype=Dtype.bfloat16)
    weights = everything(base.model)

    adapted = attach(base, recipe(method), seed=0, rows=ROWS)
    dtypes = {tensor.dtype for tensor in trained(adapted).values()}
    learn(adapted.model, 1)
    detach(settle(adapted))

    assert dtypes == {torch.float32}
    assert same(everything(base.model), weights)


class TestFromWeights:
    """PiSSA and OLoRA, whose A and B are a part of the base."""

    def first_layer(self, adapted: Adapted) -> Any:
        return adapted.model.base_model.model.model.layers[0].self_attn.q_proj

    def test_pissa_begins_with_the_largest_singular_values(self, base: Base) -> None:
        layer = self.first_layer(attach(base, recipe(Method.pissa), seed=0))

        begun = 2 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight  # the scale is 8 / 4
        largest = torch.linalg.svdvals(layer.base_layer.weight)[:4]
        # The toy's weights are noise, whose singular values lie close together: the hardest case for the fast way.
        assert torch.allclose(torch.linalg.svdvals(begun.detach())[:4], largest, rtol=2e-2)

    def test_olora_begins_with_orthonormal_columns(self, base: Base) -> None:
        layer = self.first_layer(attach(base, recipe(Method.olora), seed=0))

        columns = layer.lora_B["default"].weight.detach()  # (64, 4)
        assert torch.allclose(columns.T @ columns, torch.eye(4), atol=1e-5)

    @pytest.mark.parametrize("method", sorted(BEGUN_FROM_WEIGHTS))
    def test_it_trains_as_peft_does_on_a_base_of_its_own(
        self, load: Load, learn: Learn, monkeypatch: pytest.MonkeyPatch, method: Method
    ) -> None:
        from peft import LoraConfig as PeftLoraConfig
        from peft import get_peft_model

        monkeypatch.setattr("tune.model.methods._FAST_SVD", "pissa")  # the fast way depends on what was drawn before
        adapted = attach(load(QuantizationKind.none), recipe(method), seed=0)
        theirs = get_peft_model(
            load(QuantizationKind.none).model,
            PeftLoraConfig(
                r=4,
                lora_alpha=8,
                target_modules=list(adapted.targets),
                init_lora_weights=method.value,
                task_type="CAUSAL_LM",
            ),
        )

        assert learn(adapted.model, 5) == pytest.approx(learn(theirs, 5), rel=1e-3)

    @pytest.mark.parametrize("method", sorted(BEGUN_FROM_WEIGHTS))
    def test_what_is_saved_has_twice_the_rank_and_the_same_scale(
        self, base: Base, learn: Learn, method: Method
    ) -> None:
        adapted = attach(base, recipe(method), seed=0)
        plain = adapted.trainable
        learn(adapted.model, 1)

        settled = settle(adapted)

        config = settled.model.peft_config["default"]
        assert (config.r, config.lora_alpha) == (8, 16)
        assert settled.trainable == plain == sum(t.numel() for t in trained(settled).values()) // 2
        assert settle(settled) is settled

    @pytest.mark.parametrize("method", sorted(BEGUN_FROM_WEIGHTS))
    def test_a_rank_above_the_narrowest_layer_is_refused(self, base: Base, method: Method) -> None:
        with pytest.raises(ConfigError, match=r"lora.rank=33 is not allowed .* Take lora.rank=32 or less"):
            attach(base, LoraConfig(method=method, rank=33), seed=0)

    def test_the_start_is_never_dropped(self, base: Base, ask: Ask) -> None:
        before = ask(base.model)
        adapted = attach(base, replace(recipe(Method.pissa), dropout=0.5), seed=0)

        assert torch.allclose(ask(adapted.model), before, atol=1e-3)
        assert "Dropout" not in str(self.first_layer(adapted).lora_dropout["start"])
        assert "Dropout" in str(self.first_layer(adapted).lora_dropout["default"])


class TestFull:
    """All the model's own weights."""

    def test_every_weight_is_trained_and_a_tied_one_counts_once(self) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM

        shape = LlamaConfig(
            vocab_size=50, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            tie_word_embeddings=True,
        )  # fmt: skip
        model = LlamaForCausalLM(shape).eval().requires_grad_(requires_grad=False)
        base = Base(model=model, tokenizer=None, device=torch.device("cpu"), dtype=torch.float32, digest="")

        adapted = attach(base, recipe(Method.full), seed=0)

        # embeddings, which are the head too; q, k, v, o; gate, up, down; three norms
        assert adapted.trainable == adapted.total == 50 * 8 + 4 * 8 * 8 + 3 * 8 * 16 + 3 * 8
        assert all(parameter.requires_grad for parameter in model.parameters())
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight

    def test_the_base_gets_its_weights_back_though_training_broke_off(self, base: Base, ask: Ask, learn: Learn) -> None:
        weights, before = everything(base.model), ask(base.model)
        adapted = attach(base, recipe(Method.full), seed=0)
        learn(adapted.model, 2)

        detach(adapted)

        assert same(everything(base.model), weights)
        assert torch.equal(ask(base.model), before)
        assert not any(p.requires_grad or p.grad is not None for p in base.model.parameters())

    def test_a_bfloat16_base_is_scored_and_saved_in_bfloat16(
        self, load: Load, ask: Ask, learn: Learn, tmp_path: Path
    ) -> None:
        base = load(QuantizationKind.none)
        base.model.to(torch.bfloat16)
        adapted = attach(base, recipe(Method.full), seed=0)
        learn(adapted.model, 2)
        settle(adapted)
        logits = ask(adapted.model)
        save(adapted, tmp_path / "adapter")
        detach(adapted)

        assert logits.dtype == torch.bfloat16
        assert torch.equal(ask(reload(base, tmp_path / "adapter").model), logits)

    def test_transformers_itself_loads_what_is_saved(self, base: Base, ask: Ask, learn: Learn, tmp_path: Path) -> None:
        from transformers import AutoModelForCausalLM

        adapted = attach(base, recipe(Method.full), seed=0)
        learn(adapted.model, 2)
        save(settle(adapted), tmp_path / "adapter")

        assert torch.equal(ask(AutoModelForCausalLM.from_pretrained(tmp_path / "adapter")), ask(adapted.model))
        assert trouble_with_adapter(tmp_path / "adapter") is None

    def test_weights_of_another_model_are_refused(self, base: Base, learn: Learn, tmp_path: Path) -> None:
        adapted = attach(base, recipe(Method.full), seed=0)
        learn(adapted.model, 1)
        save(settle(adapted), tmp_path / "adapter")
        detach(adapted)

        with pytest.raises(AssetError, match=r"were trained from others .* Load the model they were trained from"):
            reload(replace(base, digest="f" * 64), tmp_path / "adapter")
        (tmp_path / "adapter" / "model.safetensors").unlink()
        with pytest.raises(AssetError, match="no whole model in"):
            reload(base, tmp_path / "adapter")

    def test_weights_that_are_not_finite_are_not_saved(self, base: Base, learn: Learn, tmp_path: Path) -> None:
        adapted = attach(base, recipe(Method.full), seed=0)
        learn(adapted.model, 1)
        adapted.model.lm_head.weight.data[0, 0] = torch.nan

        with pytest.raises(Diverged, match=r"1 of 21 weight tensors hold NaN or infinity \(first: lm_head.weight\)"):
            save(settle(adapted), tmp_path / "adapter")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", sorted(WITHOUT_LAYERS))
@pytest.mark.parametrize(
    "setting", ["lora.rank=8", "lora.alpha=8", "lora.dropout=0.1", "lora.targets=qv", "lora.layers=0-1"]
)
def test_a_setting_of_adapted_layers_is_refused_where_there_are_none(method: Method, setting: str) -> None:
    with pytest.raises(ConfigError, match=rf"{setting} has no effect with lora.method={method}.* leave it out"):
        rules.check(compose([f"lora={method}", setting]))


@pytest.mark.parametrize("method", sorted(WITHOUT_LAYERS))
def test_a_search_over_a_setting_of_adapted_layers_is_refused_where_there_are_none(method: Method) -> None:
    config = compose([f"lora={method}", "+sweep=rank_alpha"])

    with pytest.raises(ConfigError, match=rf"a search over lora.rank has no effect with lora.method={method}"):
        rules.check(config)


def test_rslora_divides_by_the_root_of_the_rank(base: Base) -> None:
    layer = attach(base, recipe(Method.rslora), seed=0).model.base_model.model.model.layers[0].self_attn.q_proj

    assert layer.scaling["default"] == 4.0  # 8 / sqrt(4)


def test_dora_learns_a_norm_for_every_output(base: Base) -> None:
    plain = attach(base, recipe(Method.lora), seed=0)
    n_plain = plain.trainable
    detach(plain)

    # a block's outputs: q and o 64 each, k and v 32 each, gate and up 128 each, down 64; two blocks
    assert attach(base, recipe(Method.dora), seed=0).trainable == n_plain + 2 * (2 * 64 + 2 * 32 + 2 * 128 + 64)


def test_vera_trains_two_vectors_a_layer(base: Base) -> None:
    adapted = attach(base, replace(recipe(Method.vera), rank=64), seed=0)

    # d has the rank, 64, in each of 14 layers; b the layer's outputs (see the test of DoRA)
    assert adapted.trainable == 14 * 64 + 2 * (2 * 64 + 2 * 32 + 2 * 128 + 64)


def test_a_vera_adapter_brings_its_random_matrices(base: Base, learn: Learn, tmp_path: Path) -> None:
    adapted = attach(base, replace(recipe(Method.vera), rank=64), seed=5)
    learn(adapted.model, 2)
    save(adapted, tmp_path / "adapter")

    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if "lambda" not in name}
    # as wide as the widest layer: gate and up put out 128, down takes 128
    assert shapes == {"base_model.vera_A": (64, 128), "base_model.vera_B": (128, 64)}


def test_lora_plus_asks_for_faster_b_alone(base: Base) -> None:
    adapted = attach(base, replace(recipe(Method.lora_plus), plus_ratio=8.0), seed=0)

    factors = {name: getattr(p, RATE_FACTOR, None) for name, p in adapted.model.named_parameters() if p.requires_grad}
    assert factors == {name: 8.0 if ".lora_B." in name else None for name in factors}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["lora.plus_ratio=4"], ["lora.plus_ratio=4 has no effect with lora.method=lora", "lora=lora_plus"]),
        (
            ["lora.spectrum_share=0.5"],
            ["lora.spectrum_share=0.5 has no effect with lora.method=lora", "lora=spectrum"],
        ),
        (
            ["lora.virtual_tokens=5"],
            ["lora.virtual_tokens=5 has no effect with lora.method=lora", "lora=prompt or lora=prefix"],
        ),
        (["lora=prompt", "lora.virtual_tokens=0"], ["lora.virtual_tokens=0", "1 or more"]),
        (
            ["lora=prefix", "train.gradient_checkpointing=true"],
            ["train.gradient_checkpointing=true is not allowed with lora.method=prefix", "lora=prompt"],
        ),
        (["lora=spectrum", "lora.spectrum_share=0"], ["lora.spectrum_share=0", "above 0, at most 1"]),
        (["lora=lora_plus", "lora.plus_ratio=0.5"], ["lora.plus_ratio=0.5", "1 or more"]),
        (["lora.method=lorra"], ["lora.method=lorra", "rslora"]),
    ],
)
def test_a_setting_that_cannot_work_is_refused(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        rules.check(compose(overrides))

    for word in words:
        assert word in str(caught.value)


def test_a_method_that_cannot_begin_leaves_the_base_for_the_next_trial(base: Base, ask: Ask) -> None:
    weights, before = everything(base.model), ask(base.model)

    with pytest.raises(DataError, match="eva needs"):
        attach(base, recipe(Method.eva), seed=0, rows=[{"input_ids": [4, 5]}])

    assert same(everything(base.model), weights)
    assert torch.equal(ask(base.model), before)
    detach(attach(base, recipe(Method.lora), seed=0))


def test_a_layer_that_eva_gives_no_rank_is_no_target(base: Base) -> None:
    adapted = attach(base, LoraConfig(method=Method.eva, rank=1, alpha=2), seed=0, rows=ROWS)

    wrapped = [name for name, module in adapted.model.get_base_model().named_modules() if hasattr(module, "lora_A")]
    assert len(wrapped) < 14, "seven layers in each of two blocks; where one gets two ranks another gets none"
    assert list(adapted.targets) == wrapped
