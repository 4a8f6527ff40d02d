import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tune.config.recipe import LoraConfig, QuantizationKind
from tune.errors import AssetError, Diverged, NothingLearned
from tune.model.adapt import Adapted, attach, detach, reload, save
from tune.model.load import Base

Load = Callable[[QuantizationKind], Base]
Ask = Callable[[Any], Any]
Learn = Callable[[Any, int], list[float]]

LORA = LoraConfig(rank=4, alpha=8)


def adapter(adapted: Adapted) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in adapted.model.named_parameters() if p.requires_grad}


def everything(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(base: Base) -> None:
    first = adapter(attached := attach(base, LORA, seed=1))
    detach(attached)
    torch.rand(7)  # whatever else drew random numbers does not matter
    second = adapter(attached := attach(base, LORA, seed=1))
    detach(attached)
    third = adapter(attach(base, LORA, seed=2))

    assert same(first, second)
    assert not same(first, third)


def test_a_fresh_adapter_changes_nothing(base: Base, ask: Ask) -> None:
    before = ask(base.model)

    assert torch.equal(ask(attach(base, LORA, seed=0).model), before)


def test_parameters_are_counted_by_hand(base: Base) -> None:
    n_base = base.model.num_parameters()

    adapted = attach(base, LoraConfig(rank=4, targets="qv"), seed=0)

    # two blocks; A is (4, 64) for both, B is (64, 4) for q and (32, 4) for v
    assert adapted.trainable == 2 * (4 * 64 + 64 * 4 + 4 * 64 + 32 * 4)
    assert adapted.total == n_base + adapted.trainable
    assert adapted.targets == ("self_attn.q_proj", "self_attn.v_proj")


@pytest.mark.parametrize("kind", QuantizationKind)
def test_detaching_gives_the_base_back_bit_for_bit(load: Load, ask: Ask, learn: Learn, kind: QuantizationKind) -> None:
    base = load(kind)
    weights, logits = everything(base.model), ask(base.model)
    adapted = attach(base, LORA, seed=0)
    losses = learn(adapted.model, 10)

    given_back = detach(adapted)

    assert losses[-1] < losses[0] / 2
    assert given_back is base
    assert same(everything(base.model), weights)
    assert torch.equal(ask(base.model), logits)
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


def test_detaching_undoes_what_a_trainer_switches_on(base: Base) -> None:
    adapted = attach(base, LORA, seed=0)
    base.model.activation_checkpointing_enable()
    base.model.enable_input_require_grads()
    base.model.config.use_cache = False

    detach(adapted)

    assert not base.model.is_activation_checkpointing
    assert base.model.config.use_cache
    assert not base.model.get_input_embeddings()(torch.tensor([1])).requires_grad


def test_an_adapter_on_a_bfloat16_base_is_float32(base: Base) -> None:
    base.model.to(torch.bfloat16)

    assert {tensor.dtype for tensor in adapter(attach(base, LORA, seed=0)).values()} == {torch.float32}


@pytest.mark.parametrize("kind", QuantizationKind)
def test_a_saved_adapter_gives_the_same_logits_again(
    load: Load, ask: Ask, learn: Learn, tmp_path: Path, kind: QuantizationKind
) -> None:
    adapted = attach(load(kind), LORA, seed=0)
    learn(adapted.model, 3)
    logits = ask(adapted.model)
    save(adapted, tmp_path / "adapter")

    again = reload(load(kind), tmp_path / "adapter")

    assert torch.equal(ask(again.model), logits)
    assert again.trainable == adapted.trainable
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter"]
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "base.json",
    ]


def test_an_adapter_in_one_block_is_saved_and_comes_back_there(
    load: Load, ask: Ask, learn: Learn, tmp_path: Path
) -> None:
    adapted = attach(load(QuantizationKind.none), LoraConfig(rank=4, targets="q+down", layers="top 1"), seed=0)
    learn(adapted.model, 3)
    logits = ask(adapted.model)
    save(adapted, tmp_path / "adapter")

    again = reload(load(QuantizationKind.none), tmp_path / "adapter")

    assert torch.equal(ask(again.model), logits)
    assert again.targets == ("model.layers.1.mlp.down_proj", "model.layers.1.self_attn.q_proj")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT 0.21
def test_peft_itself_reads_what_is_saved(load: Load, ask: Ask, learn: Learn, tmp_path: Path) -> None:
    from peft import PeftModel

    adapted = attach(load(QuantizationKind.none), LORA, seed=0)
    learn(adapted.model, 3)
    save(adapted, tmp_path / "adapter")

    theirs = PeftModel.from_pretrained(load(QuantizationKind.none).model, tmp_path / "adapter")

    assert torch.equal(ask(theirs), ask(adapted.model))


def test_saving_again_replaces_the_folder(base: Base, learn: Learn, tmp_path: Path) -> None:
    adapted = attach(base, LORA, seed=0)
    learn(adapted.model, 1)
    save(adapted, tmp_path / "adapter")
    (tmp_path / "adapter" / "stale").write_text("")
    learn(adapted.model, 1)
    save(adapted, tmp_path / "adapter")

    assert not (tmp_path / "adapter" / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_adapter_that_is_not_finite_is_not_saved(base: Base, tmp_path: Path, value: float) -> None:
    adapted = attach(base, LORA, seed=0)
    next(p for p in adapted.model.parameters() if p.requires_grad).data[0, 0] = value

    with pytest.raises(Diverged, match=r"1 of 28 adapter tensors hold NaN or infinity .*q_proj.lora_A"):
        save(adapted, tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_that_learned_nothing_is_not_saved(base: Base, tmp_path: Path) -> None:
    with pytest.raises(NothingLearned, match="every B of the adapter is zero"):
        save(attach(base, LORA, seed=0), tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


class TestReloadRefuses:
    @pytest.fixture
    def folder(self, load: Load, learn: Learn, tmp_path: Path) -> Path:
        adapted = attach(load(QuantizationKind.none), LORA, seed=0)
        learn(adapted.model, 1)
        save(adapted, tmp_path / "adapter")
        return tmp_path / "adapter"

    def rewrite(self, folder: Path, tensors: dict[str, torch.Tensor]) -> None:
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})

    def test_a_missing_tensor_and_leaves_the_base_clean(self, base: Base, folder: Path, ask: Ask) -> None:
        before, names = ask(base.model), list(base.model.state_dict())
        tensors = load_file(folder / "adapter_model.safetensors")
        tensors.pop(min(tensors))
        self.rewrite(folder, tensors)

        with pytest.raises(AssetError, match="1 tensors are missing and 0 are not expected"):
            reload(base, folder)
        assert torch.equal(ask(base.model), before)
        assert list(base.model.state_dict()) == names

    def test_an_unexpected_tensor(self, base: Base, folder: Path) -> None:
        tensors = load_file(folder / "adapter_model.safetensors")
        self.rewrite(folder, {**tensors, "surprise": torch.zeros(1)})

        with pytest.raises(AssetError, match=r"0 tensors are missing and 1 are not expected \(first: surprise\)"):
            reload(base, folder)

    def test_another_shape(self, base: Base, folder: Path) -> None:
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, "r": 8}))

        with pytest.raises(AssetError, match=r"lora_A.weight has shape \(4, 64\), expected \(8, 64\)"):
            reload(base, folder)

    def test_another_base(self, base: Base, folder: Path) -> None:
        (folder / "base.json").write_text(json.dumps({"digest": "f" * 64}))

        with pytest.raises(AssetError, match=r"was trained on other weights \(digest ffffffffffff, this base has"):
            reload(base, folder)

    def test_a_broken_note_of_the_base(self, base: Base, folder: Path) -> None:
        (folder / "base.json").write_text("{")

        with pytest.raises(AssetError, match="no whole adapter in"):
            reload(base, folder)

    @pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
    def test_a_missing_file(self, base: Base, folder: Path, name: str) -> None:
        (folder / name).unlink()

        with pytest.raises(AssetError, match="no whole adapter in"):
            reload(base, folder)

    def test_a_pickle_in_the_place_of_the_weights(self, base: Base, folder: Path, tmp_path: Path) -> None:
        trace = tmp_path / "ran"
        (folder / "adapter_model.safetensors").unlink()
        for name in ("adapter_model.bin", "adapter_model.safetensors"):
            (folder / name).write_bytes(pickle.dumps(Bomb(trace)))
            with pytest.raises(AssetError, match="no whole adapter in"):
                reload(base, folder)
        assert not trace.exists()

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"megatron_config": {"a": 1}, "megatron_core": "antigravity"}, "asks for megatron_config, megatron_core"),
            ({"corda_config": {"cache_file": "evil.pt"}}, "asks for corda_config"),
            ({"peft_type": "XLORA"}, "is no LoRA"),
            ({"target_modules": ".*"}, "no list of names of layers"),
        ],
    )
    def test_settings_that_make_peft_import_or_unpickle(
        self, base: Base, folder: Path, changes: dict[str, object], said: str
    ) -> None:
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, **changes}))

        with pytest.raises(AssetError, match=said):
            reload(base, folder)
