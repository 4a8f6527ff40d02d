"""Every optimizer learns, and one that was stopped goes on to the same bits; the list is complete by construction."""

import gc
import weakref
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.optimization import Adafactor

from tests.train.toy import RATES, network, same, settings, train
from tune.config.optimizer import Optimizer
from tune.config.recipe import TrainConfig
from tune.errors import ConfigError, Interrupted
from tune.train.checkpoint import Checkpoints
from tune.train.optimizer_state import read_state, write_state

HERE = [optimizer for optimizer in Optimizer if not optimizer.is_paged]
"""Those that run on a processor; the others are in tests/gpu."""

RECIPES = [*(settings(optimizer) for optimizer in HERE), settings(Optimizer.sgd, momentum=0.9)]


def name(recipe: TrainConfig) -> str:
    return f"{recipe.optimizer}{' with momentum' if recipe.momentum else ''}"


def test_every_optimizer_has_a_rate_at_which_it_is_tested() -> None:
    assert set(RATES) == set(Optimizer)


@pytest.mark.parametrize("recipe", RECIPES, ids=name)
def test_it_learns_and_goes_on_to_the_same_bits(tmp_path: Path, recipe: TrainConfig) -> None:
    unbroken = train(recipe)
    checkpoints = Checkpoints(tmp_path, recipe="r")
    for step in (1, 5):
        with pytest.raises(Interrupted):
            train(recipe, checkpoints, stop_at=step)
    torch.manual_seed(99)  # another process has drawn other numbers
    resumed = train(recipe, checkpoints)

    losses = unbroken.fitted.losses
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3]), "the last epoch has the rows of the first"
    assert same(resumed, unbroken)
    assert {file.suffix for file in tmp_path.glob("step-*/*")} == {".safetensors", ".json"}


@pytest.mark.parametrize("recipe", RECIPES, ids=name)
def test_a_rate_of_its_own_for_b_is_kept_over_a_stop(tmp_path: Path, recipe: TrainConfig) -> None:
    unbroken = train(recipe, b_faster=4.0)
    checkpoints = Checkpoints(tmp_path, recipe="r")
    with pytest.raises(Interrupted):
        train(recipe, checkpoints, stop_at=4, b_faster=4.0)

    assert same(train(recipe, checkpoints, b_faster=4.0), unbroken)
    assert not same(unbroken, train(recipe))


def test_eight_bits_are_eight_bits_and_not_quite_the_same() -> None:
    # The toy's matrices A have 32 * 128 = 4096 numbers, the least that bitsandbytes keeps in eight bits.
    eight, plain = train(settings(Optimizer.adamw_8bit)), train(settings(Optimizer.adamw))

    assert not same(eight, plain)
    assert eight.fitted.losses == pytest.approx(plain.fitted.losses, rel=0.1)


def test_decay_shrinks_the_weights_by_the_rate_times_it() -> None:
    # One step from B = 0: A has no gradient, so nothing but the decay moves it; a warm-up of none gives the whole rate.
    def grown(optimizer: Optimizer) -> list[float]:
        recipe = settings(optimizer, max_steps=1, warmup_share=0.0, max_grad_norm=1e-3)
        before = [p.detach().clone() for n, p in sorted(network().named_parameters()) if ".lora_A." in n]
        model = network()
        trained = train(recipe, start=lambda: model)
        after = [p for p, (n, _) in zip(trained.weights, _adapter(model), strict=True) if ".lora_A." in n]
        return [float((a / b).median()) for a, b in zip(after, before, strict=True)]

    for optimizer in set(HERE) - {Optimizer.galore}:  # a rule refuses a decay with it
        assert grown(optimizer) == pytest.approx([1 - RATES[optimizer] * 0.1] * 4, rel=1e-4), optimizer


def _adapter(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    return [(n, p) for n, p in sorted(model.named_parameters()) if p.requires_grad]


def test_a_state_of_more_bits_than_the_parameter_is_not_rounded() -> None:
    # torch's own load_state_dict casts to the parameter's format.
    def start() -> tuple[torch.nn.Parameter, Adafactor]:
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4).to(torch.bfloat16))
        return weight, Adafactor([weight], lr=1e-2, relative_step=False, scale_parameter=False)

    weight, optimizer = start()
    for _ in range(3):
        weight.grad = weight.detach() * 0.3
        optimizer.step()
    saved = read_state(optimizer)
    again, other = start()
    write_state(other, saved)

    kept = other.state[again]["exp_avg_sq_row"]
    assert kept.dtype == torch.float32
    assert torch.equal(kept, optimizer.state[weight]["exp_avg_sq_row"])
    assert not torch.equal(kept, kept.to(torch.bfloat16).float())
    assert other.state[again]["step"] == 3


def test_what_would_need_a_pickle_is_not_written() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    optimizer.state[weight]["thing"] = object()

    with pytest.raises(AssertionError, match="0/thing would need a pickle"):
        read_state(optimizer)


def test_bitsandbytes_lets_go_of_a_network_that_was_trained() -> None:
    seen = []

    def start() -> torch.nn.Module:
        model = network()
        seen.append(weakref.ref(model.get_input_embeddings()))
        return model

    train(settings(Optimizer.adamw_8bit, max_steps=1), start=start)
    gc.collect()

    assert seen[0]() is None


@pytest.mark.parametrize("optimizer", [one for one in Optimizer if one.is_paged])
def test_paging_without_a_gpu_is_refused_and_not_left_out(optimizer: Optimizer) -> None:
    with pytest.raises(ConfigError, match=rf"train\.optimizer={optimizer} needs a GPU.*on the cpu.*adamw_8bit"):
        train(settings(optimizer))


@pytest.mark.parametrize("tied", [True, False])
def test_galore_that_would_project_nothing_of_the_blocks_is_refused(tied: bool) -> None:
    pytest.importorskip("galore_torch")
    config = GPT2Config(vocab_size=32, n_embd=32, n_layer=1, n_head=2, n_positions=16, tie_word_embeddings=tied)

    with pytest.raises(ConfigError, match=r"train\.optimizer=galore is not allowed with this model.*Conv1D"):
        train(settings(Optimizer.galore), start=lambda: GPT2LMHeadModel(config))
