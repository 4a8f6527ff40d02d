"""Every optimizer trains on a GPU and goes on to the same bits; paged moments are paged again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.toy import network, same, settings, train
from tune.config.optimizer import Optimizer
from tune.errors import Interrupted
from tune.train.checkpoint import Checkpoints
from tune.train.optimizer_state import read_state, write_state

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("optimizer", Optimizer)
def test_it_trains_and_goes_on_to_the_same_bits(
    tmp_path: Path, device: str, note: Callable[..., None], optimizer: Optimizer
) -> None:
    def start() -> Any:
        return network(width=1024, rank=128).to(device)  # A has 131,072 numbers; from 100,000 on they are paged

    unbroken = train(settings(optimizer), start=start)
    losses = unbroken.fitted.losses
    note(first_epoch=sum(losses[:3]) / 3, last_epoch=sum(losses[-3:]) / 3)
    repeats = same(train(settings(optimizer), start=start), unbroken)
    checkpoints = Checkpoints(tmp_path, recipe="r")
    with pytest.raises(Interrupted):
        train(settings(optimizer), checkpoints, stop_at=4, start=start)
    resumed = train(settings(optimizer), checkpoints, start=start)

    assert sum(losses[-3:]) < sum(losses[:3])
    assert repeats, "without a stop the same training gives other bits, so nothing can be said about resuming"
    assert same(resumed, unbroken)


@pytest.mark.parametrize("bits", [8, 32])
def test_paged_moments_are_paged_again_and_the_same(device: str, bits: int) -> None:
    from bitsandbytes.optim import AdamW

    def start() -> tuple[torch.nn.Parameter, Any]:
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 120_000, device=device).reshape(400, 300))
        return weight, AdamW([weight], lr=1e-2, optim_bits=bits, is_paged=True)

    weight, optimizer = start()
    weight.grad = weight.detach() * 0.3
    optimizer.step()
    again, other = start()
    write_state(other, read_state(optimizer))

    assert other.state[again]["state1"].is_paged
    for name, value in optimizer.state[weight].items():
        assert torch.equal(torch.as_tensor(other.state[again][name]), torch.as_tensor(value)), name
