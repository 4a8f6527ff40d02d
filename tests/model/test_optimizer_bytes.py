"""The bytes of an optimizer's state, by hand and against what a training kept."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.toy import network, settings, train
from tune.config.optimizer import Optimizer
from tune.config.recipe import TrainConfig
from tune.model.optimizer_bytes import model_state_bytes, state_bytes
from tune.train.checkpoint import Checkpoints

N = 64 * 100  # a matrix of 6400: 25 blocks of 256
MATRIX, SMALL, VECTOR = (64, 100), (4, 100), (100,)

BY_HAND = {
    Optimizer.adamw: 2 * 4 * (N + 400 + 100),
    Optimizer.paged_adamw_32bit: 2 * 4 * (N + 400 + 100),
    # a byte each and a float a block; below 4096 four bytes; two tables of 256 floats
    Optimizer.adamw_8bit: 2 * (N + 25 * 4 + 4 * 500) + 2 * 256 * 4,
    Optimizer.paged_adamw_8bit: 2 * (N + 25 * 4 + 4 * 500) + 2 * 256 * 4,
    Optimizer.adafactor: 4 * (64 + 100 + 4 + 100 + 100),
    Optimizer.sgd: 0,
    Optimizer.galore: 2 * 4 * (N + 400 + 100),  # of what it does not project
}


@pytest.mark.parametrize("optimizer", Optimizer)
def test_a_state_by_hand(optimizer: Optimizer) -> None:
    assert state_bytes(TrainConfig(optimizer=optimizer), [MATRIX, SMALL, VECTOR]) == BY_HAND[optimizer]


def test_momentum_is_as_large_as_what_is_trained() -> None:
    assert state_bytes(TrainConfig(optimizer=Optimizer.sgd, momentum=0.5), [MATRIX]) == 4 * N


def test_a_projected_matrix_by_hand() -> None:
    # Directions of 8 x 64, and two moments of 100 x 8; the vector beside it has its two moments whole.
    model = torch.nn.Sequential(torch.nn.Linear(64, 100))
    recipe = TrainConfig(optimizer=Optimizer.galore, galore_rank=8)

    assert model_state_bytes(recipe, model) == 4 * (8 * 64 + 2 * 100 * 8) + 2 * 4 * 100


def test_small_tensors_alone_need_no_table() -> None:
    assert state_bytes(TrainConfig(optimizer=Optimizer.adamw_8bit), [SMALL]) == 2 * 4 * 400


@pytest.mark.parametrize("rank", [4, 33])
@pytest.mark.parametrize(
    "recipe",
    [
        *(settings(one, max_steps=2) for one in Optimizer if not one.is_paged),
        settings(Optimizer.sgd, max_steps=2, momentum=0.9),
    ],
    ids=lambda recipe: f"{recipe.optimizer}{recipe.momentum:g}",
)
def test_a_training_keeps_as_many(tmp_path: Path, recipe: TrainConfig, rank: int) -> None:
    model = network(rank=rank)
    train(recipe, Checkpoints(tmp_path, recipe="r"), start=lambda: model)

    kept = load_file(tmp_path / "step-00000002" / "optimizer.safetensors")
    # The tables are one for all tensors, and a file has each by itself; a step or a norm is one number.
    tables = {name.split("/")[1]: t.nbytes for name, t in kept.items() if "/qmap" in name}
    others = sum(t.nbytes for name, t in kept.items() if "/qmap" not in name and t.dim() > 0)
    assert model_state_bytes(recipe, model) == others + sum(tables.values())
