"""Biases and whole modules that are trained in full beside an adapter: every method with every quantization."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.model.test_methods import ROWS, at_home, everything, recipe, same
from tests.train.toy import ROWS as TEXTS
from tune.config import rules
from tune.config.compose import compose
from tune.config.method import WITHOUT_LAYERS, Bias, Method
from tune.config.model import Device, Dtype, ModelConfig
from tune.config.recipe import LoraConfig, QuantizationConfig, QuantizationKind, TrainConfig
from tune.config.schema import Config
from tune.errors import AssetError, ConfigError, Interrupted
from tune.model import beside
from tune.model.adapt import attach, detach, reload, save, settle
from tune.model.load import Base, load_base
from tune.train.checkpoint import Checkpoints
from tune.train.fit import fit
from tune.train.watch import Follow

Load = Callable[..., Base]
Ask = Callable[[Any], Any]
Learn = Callable[[Any, int], list[float]]

IN_FULL = "embed_tokens+norm"
"""The embeddings are the head too; `norm` is the last one, not those of the blocks."""


@pytest.fixture(scope="session")
def biased_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy with a bias in every layer of its blocks, drawn from a seed, and its head tied to the embeddings."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("biased")
    config = AutoConfig.from_pretrained(tiny_folder, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(AutoModelForCausalLM.from_pretrained(tiny_folder).state_dict(), strict=False)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.data.normal_(std=0.05)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def biased(biased_folder: Path) -> Load:
    def load(kind: QuantizationKind = QuantizationKind.none, *, dtype: Dtype = Dtype.auto) -> Base:
        model = ModelConfig(path=str(biased_folder), device=Device.cpu, dtype=dtype)
        return load_base(model, QuantizationConfig(kind=kind), folder=biased_folder)

    return load


def with_beside(method: Method, bias: Bias = Bias.all, modules: str | None = IN_FULL) -> LoraConfig:
    return replace(recipe(method), bias=bias, modules_to_save=modules)


def refusal(method: Method, kind: QuantizationKind) -> str | None:
    """Return what is said of the pair with biases and modules; the model is one whose biases are not known."""
    model = ModelConfig(embedded=None, path="somebody/model")
    lora = LoraConfig(method=method, bias=Bias.all, modules_to_save=IN_FULL)
    config = Config(lora=lora, quantization=QuantizationConfig(kind=kind), model=model)
    try:
        rules.check(config)
    except ConfigError as error:
        return str(error)
    return None


PAIRS = list(product(Method, QuantizationKind))
ALLOWED = [pair for pair in PAIRS if refusal(*pair) is None]


@pytest.mark.parametrize(("method", "kind"), ALLOWED)
def test_biases_and_modules_train_are_saved_leave_the_base_alone_and_come_back(
    biased: Load, ask: Ask, learn: Learn, tmp_path: Path, method: Method, kind: QuantizationKind
) -> None:
    base = biased(kind)
    weights, before, order = everything(base.model), ask(base.model), list(base.model.state_dict())

    adapted = attach(base, with_beside(method), seed=0, rows=ROWS)
    assert adapted.beside is not None
    begun = adapted.beside.tensors()
    losses = learn(adapted.model, 4)
    adapted = settle(adapted)
    assert adapted.beside is not None
    learned = adapted.beside.tensors()
    logits = ask(adapted.model)
    save(adapted, tmp_path / "adapter")
    detach(adapted)

    assert losses[-1] < losses[0]
    still = {name for name in begun if torch.equal(begun[name], learned[name])}
    assert still <= {name for name in begun if name.endswith("k_proj.bias")}, "softmax cancels what k adds to all"
    assert same(everything(base.model), weights)
    assert list(base.model.state_dict()) == order, "optimizers go by the order of parameters"
    assert not any(p.requires_grad or p.grad is not None for p in base.model.parameters())
    assert torch.equal(ask(base.model), before)
    again = reload(base, tmp_path / "adapter")
    assert torch.equal(ask(again.model), logits)
    save(again, tmp_path / "again")
    detach(again)
    assert same(everything(base.model), weights)
    assert torch.equal(ask(reload(biased(kind), tmp_path / "adapter").model), logits), "on a base never adapted"
    assert (tmp_path / "again" / "adapter_model.safetensors").read_bytes() == (
        tmp_path / "adapter" / "adapter_model.safetensors"
    ).read_bytes()


def test_the_pairs_that_are_left_are_refused_for_the_method_or_for_the_method_with_biases() -> None:
    from tests.model.test_methods import REFUSED

    refused = set(PAIRS) - set(ALLOWED)

    assert refused == set(REFUSED) | set(product(WITHOUT_LAYERS, QuantizationKind))
    assert len(PAIRS) == len(Method) * len(QuantizationKind)


@pytest.mark.parametrize(
    ("method", "name"), list(product(sorted(WITHOUT_LAYERS), ["bias=all", "modules_to_save=lm_head"]))
)
def test_a_method_that_trains_no_adapter_around_layers_takes_neither(method: Method, name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rules.check(compose(["model.path=somebody/model", f"lora={method}", f"lora.{name}"]))

    assert f"lora.{name} is not allowed with lora.method={method}" in str(refused.value)
    assert "such as lora=lora" in str(refused.value)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT 0.21
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")  # VeRA ties nothing in PEFT
@pytest.mark.parametrize("method", sorted(set(Method) - WITHOUT_LAYERS))
def test_peft_itself_reads_what_is_saved_beside_an_adapter(
    biased: Load, ask: Ask, learn: Learn, tmp_path: Path, method: Method
) -> None:
    from peft import PeftModel

    adapted = attach(biased(at_home(method)), with_beside(method), seed=0, rows=ROWS)
    learn(adapted.model, 3)
    adapted = settle(adapted)
    save(adapted, tmp_path / "adapter")

    theirs = PeftModel.from_pretrained(biased(at_home(method)).model, tmp_path / "adapter")

    assert torch.equal(ask(theirs), ask(adapted.model))


@pytest.mark.parametrize("bias", [Bias.all, Bias.lora_only])
def test_it_trains_the_biases_that_peft_trains(biased: Load, learn: Learn, bias: Bias) -> None:
    from peft import LoraConfig as PeftLoraConfig
    from peft import get_peft_model

    lora = replace(with_beside(Method.lora, bias, None), targets="qv")
    ours = attach(biased(), lora, seed=0)
    torch.manual_seed(0)
    theirs = get_peft_model(
        biased().model,
        PeftLoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], bias=bias.value, task_type="CAUSAL_LM"),
    )

    assert ours.trainable == theirs.get_nb_trainable_parameters()[0]
    assert learn(ours.model, 4) == pytest.approx(learn(theirs, 4), abs=1e-6)


def test_a_gpt2_trains_the_biases_of_its_norms_and_transposed_layers_too(
    base: Base, ask: Ask, learn: Learn, tmp_path: Path
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    network = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=40, n_embd=16, n_layer=2, n_head=2))
    gpt2 = replace(base, model=network.eval().requires_grad_(requires_grad=False))
    weights, before = everything(network), ask(network)
    plain = attach(gpt2, recipe(Method.lora), seed=0)
    detach(plain)

    adapted = attach(gpt2, with_beside(Method.lora, Bias.all, "ln_f"), seed=0)
    # a block: c_attn 48, c_proj 16, two norms of 16, c_fc 64, c_proj 16; and ln_f with weight and bias of 16
    assert adapted.trainable == plain.trainable + 2 * (48 + 16 + 2 * 16 + 64 + 16) + 2 * 16
    assert adapted.note is not None
    assert "Trained in full beside the adapter: 13 biases and ln_f; 384 parameters." in adapted.note
    learn(adapted.model, 4)
    logits = ask(adapted.model)
    save(adapted, tmp_path / "adapter")
    detach(adapted)

    assert same(everything(network), weights)
    assert torch.equal(ask(network), before)
    assert torch.equal(ask(reload(gpt2, tmp_path / "adapter").model), logits)


def test_an_untied_head_is_trained_alone(base: Base, learn: Learn) -> None:
    network = base.model
    embeddings = network.get_input_embeddings().weight.clone()

    adapted = attach(base, with_beside(Method.lora, Bias.none, "lm_head"), seed=0)
    learn(adapted.model, 2)

    assert adapted.beside is not None
    assert adapted.beside.choice.modules == ("lm_head",)
    assert adapted.beside.n_trained == embeddings.numel()
    assert torch.equal(network.get_input_embeddings().weight, embeddings)


def test_a_tied_weight_is_trained_once_and_stays_tied(biased: Load, learn: Learn) -> None:
    base = biased()
    plain = attach(base, recipe(Method.lora), seed=0)
    detach(plain)
    weight = base.model.get_input_embeddings().weight

    for name in ("embed_tokens", "lm_head", "lm_head+model.embed_tokens"):
        adapted = attach(base, with_beside(Method.lora, Bias.none, name), seed=0)
        learn(adapted.model, 2)
        network = adapted.base.model

        assert torch.equal(network.get_input_embeddings().weight, network.get_output_embeddings().weight)
        assert adapted.trainable == plain.trainable + weight.numel()
        assert adapted.total == plain.total
        both = "embed_tokens, lm_head" if name == "embed_tokens" else "lm_head, embed_tokens"
        assert adapted.note == (
            f"Trained in full beside the adapter: {both} (one tied weight); {weight.numel():,} parameters."
        )
        detach(adapted)
        assert network.get_output_embeddings().weight is network.get_input_embeddings().weight is weight


def test_an_adapter_that_parts_tied_embeddings_is_refused(biased: Load, learn: Learn, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = biased()
    adapted = attach(base, with_beside(Method.lora, Bias.none, "lm_head"), seed=0)
    learn(adapted.model, 1)
    save(adapted, tmp_path / "adapter")
    detach(adapted)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = load_file(file)
    del tensors["base_model.model.lm_head.weight"]
    save_file(tensors, file)

    with pytest.raises(AssetError, match=r"sets model.embed_tokens.weight apart from lm_head.weight.* one weight"):
        reload(base, tmp_path / "adapter")


@pytest.mark.parametrize("method", sorted(set(Method) - WITHOUT_LAYERS))
def test_on_a_bfloat16_base_they_are_learned_in_float32_and_scored_as_saved(
    biased: Load, ask: Ask, learn: Learn, tmp_path: Path, method: Method
) -> None:
    base = biased(at_home(method), dtype=Dtype.bfloat16)
    weights = everything(base.model)

    adapted = attach(base, with_beside(method), seed=0, rows=ROWS)
    dtypes = {p.dtype for p in adapted.model.parameters() if p.requires_grad}
    learn(adapted.model, 2)
    adapted = settle(adapted)
    logits = ask(adapted.model)
    save(adapted, tmp_path / "adapter")
    detach(adapted)

    assert dtypes == {torch.float32}
    assert logits.dtype == torch.bfloat16
    assert same(everything(base.model), weights)
    assert torch.equal(ask(reload(base, tmp_path / "adapter").model), logits)


def resumable(base: Base, method: Method, checkpoints: Checkpoints | None, stop_at: int | None) -> dict[str, Any]:
    """Return what was trained in ten steps, biases and modules among it."""

    def on_step(step: int, _total: int, _loss: float) -> None:
        if step == stop_at:
            msg = "preempted"
            raise Interrupted(msg)

    adapted = attach(base, replace(with_beside(method), dropout=0.1), seed=0, rows=ROWS)
    follow = Follow(on_step=on_step, checkpoints=checkpoints, course=adapted.course)
    train = TrainConfig(batch_size=1, epochs=2, learning_rate=1e-2, accumulation=2)
    try:
        fit(adapted.model, base.tokenizer, TEXTS, train, seed=3, follow=follow)
        return {name: p.detach().clone() for name, p in adapted.model.named_parameters() if p.requires_grad}
    finally:
        detach(adapted)


@pytest.mark.parametrize("method", sorted(set(Method) - WITHOUT_LAYERS))
def test_a_stopped_training_goes_on_to_the_same_bits(biased: Load, tmp_path: Path, method: Method) -> None:
    base = biased(at_home(method))
    weights = everything(base.model)
    unbroken = resumable(base, method, None, None)
    checkpoints = Checkpoints(tmp_path, recipe="r")
    with pytest.raises(Interrupted):
        resumable(base, method, checkpoints, 4)
    torch.manual_seed(99)  # another process has drawn other numbers

    resumed = resumable(base, method, checkpoints, None)

    assert same(resumed, unbroken)
    assert sum("parametrizations" in name for name in resumed) == 2 * 7 + 2, "a bias a layer, embeddings and norm"
    assert same(everything(base.model), weights)


def test_a_base_without_room_for_the_copies_is_left_as_it_was(
    biased: Load, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = biased()
    weights, before = everything(base.model), ask(base.model)
    room = iter(range(3))

    def rounded(dtype: torch.dtype) -> Any:
        if next(room, None) is None:
            raise MemoryError
        return beside_rounded(dtype)

    beside_rounded = beside._rounded
    monkeypatch.setattr(beside, "_rounded", rounded)
    with pytest.raises(MemoryError):
        attach(base, with_beside(Method.lora), seed=0)
    monkeypatch.undo()

    assert same(everything(base.model), weights)
    assert torch.equal(ask(base.model), before)
    detach(attach(base, with_beside(Method.lora), seed=0))


class TestRefusals:
    @pytest.mark.parametrize("bias", [Bias.all, Bias.lora_only])
    def test_a_llama_of_our_own_has_no_bias(self, bias: Bias) -> None:
        with pytest.raises(ConfigError, match=rf"lora.bias={bias} is not allowed with model.embedded=tiny: .* Llama"):
            rules.check(compose(["model=tiny", f"lora.bias={bias}"]))

    def test_any_other_model_without_one_is_refused_when_it_is_there(self, base: Base, ask: Ask) -> None:
        before = ask(base.model)

        with pytest.raises(ConfigError, match=r"lora.bias=all is not allowed with LlamaForCausalLM: it has none, so"):
            attach(base, with_beside(Method.lora, Bias.all, None), seed=0)

        assert torch.equal(ask(base.model), before)

    def test_adapted_layers_without_one(self, base: Base) -> None:
        with pytest.raises(ConfigError, match="none of the adapted layers has one"):
            attach(base, with_beside(Method.lora, Bias.lora_only, None), seed=0)

    @pytest.mark.parametrize("text", ["embed_tokens+", "re:.*", "+"])
    def test_what_is_no_name_of_a_module(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"is no name of a module\. .* as in embed_tokens.lm_head"):
            rules.check(compose([f"lora.modules_to_save='{text}'"]))

    def test_a_module_that_is_not_there(self, base: Base) -> None:
        with pytest.raises(
            ConfigError, match=r"no module with weights whose name ends in lm_haed\. Did you mean lm_head"
        ):
            attach(base, with_beside(Method.lora, Bias.none, "lm_haed"), seed=0)

    def test_a_layer_that_is_adapted_too(self, base: Base) -> None:
        lora = replace(with_beside(Method.lora, Bias.none, "mlp"), targets="qv+down")

        with pytest.raises(
            ConfigError, match=r"model.layers.0.mlp.down_proj would be trained in full and get an adapter"
        ):
            attach(base, lora, seed=0)

    @pytest.mark.parametrize("kind", sorted(set(QuantizationKind) - {QuantizationKind.none}))
    def test_a_layer_that_is_quantized(self, load: Load, kind: QuantizationKind) -> None:
        lora = replace(with_beside(Method.lora, Bias.none, "mlp"), targets="qv")

        with pytest.raises(ConfigError, match=r"down_proj|gate_proj.* is stored in four or eight bits"):
            attach(load(kind), lora, seed=0)
