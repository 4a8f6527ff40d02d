"""AdaLoRA drops directions as its paper does, is saved as plain LoRA, and goes on from a checkpoint exactly."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.toy import ROWS
from tune.config import rules
from tune.config.compose import compose
from tune.config.method import Method
from tune.config.recipe import LoraConfig, TrainConfig
from tune.errors import ConfigError, Interrupted
from tune.model.adapt import Adapted, attach, detach, reload, save, settle
from tune.model.load import Base
from tune.train.checkpoint import Checkpoints
from tune.train.fit import fit
from tune.train.watch import Follow

LORA = LoraConfig(method=Method.adalora, rank=2, initial_rank=4, alpha=8)
TRAIN = TrainConfig(batch_size=2, epochs=4, learning_rate=1e-2)  # 20 steps of two rows


def train(base: Base, checkpoints: Checkpoints | None = None, *, stop_at: int | None = None) -> Adapted:
    def on_step(step: int, _total: int, _loss: float) -> None:
        if step == stop_at:
            msg = "preempted"
            raise Interrupted(msg)

    adapted = attach(base, LORA, seed=5)
    follow = Follow(on_step=on_step, checkpoints=checkpoints, course=adapted.course)
    try:
        fit(adapted.model, base.tokenizer, ROWS, TRAIN, seed=3, follow=follow)
    except Interrupted:
        detach(adapted)
        raise
    return adapted


def kept(adapted: Adapted) -> int:
    layers = [p for name, p in adapted.model.named_parameters() if ".lora_E." in name]
    return sum(int((layer != 0).sum()) for layer in layers)


def weights(adapted: Adapted) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in adapted.model.named_parameters() if p.requires_grad}


def test_it_keeps_the_rank_on_average_and_is_saved_as_lora_of_several_ranks(base: Base, tmp_path: Path) -> None:
    adapted = train(base)
    n_layers = len([name for name, _ in adapted.model.named_parameters() if ".lora_E." in name])
    n_kept = kept(adapted)
    before = adapted.model(input_ids=torch.arange(10, 30)[None]).logits.detach()

    settled = settle(adapted)
    after = settled.model(input_ids=torch.arange(10, 30)[None]).logits.detach()
    save(settled, tmp_path / "adapter")
    detach(settled)
    again = reload(base, tmp_path / "adapter")

    assert n_kept == 2 * n_layers, "4 directions a layer to begin with, 2 on average at the end"
    assert settled.note is not None
    assert f"AdaLoRA kept {n_kept} of {4 * n_layers} directions" in settled.note
    assert torch.allclose(before, after, atol=1e-4)
    assert torch.equal(again.model(input_ids=torch.arange(10, 30)[None]).logits, after)
    ranks = {p.shape[0] for name, p in again.model.named_parameters() if ".lora_A." in name}
    assert len(ranks) > 1, "the layers share the budget by what their directions are worth"


@pytest.mark.parametrize("stops", [(1,), (3, 9), (13, 14), (20,)])
def test_it_goes_on_from_a_checkpoint_to_the_same_bits(base: Base, tmp_path: Path, stops: tuple[int, ...]) -> None:
    unbroken = weights(whole := train(base))
    detach(whole)
    checkpoints = Checkpoints(tmp_path, recipe="r")
    for step in stops:
        with pytest.raises(Interrupted):
            train(base, checkpoints, stop_at=step)
    torch.manual_seed(99)

    resumed = weights(train(base, checkpoints))

    assert resumed.keys() == unbroken.keys()
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)


def test_the_penalty_by_hand(base: Base) -> None:
    adapted = attach(base, LORA, seed=0)
    with torch.no_grad():
        for name, parameter in adapted.model.named_parameters():
            if ".lora_A." in name:
                parameter.copy_(torch.eye(*parameter.shape) * 2)  # A A^T - I = 3 I, norm 3 * sqrt(4) = 6
            if ".lora_B." in name:
                parameter.copy_(torch.eye(*parameter.shape))  # B^T B - I = 0

    # PEFT weighs the mean distance with 0.5: 0.5 * (6 + 0) / 2
    assert float(adapted.course.penalty().detach()) == pytest.approx(1.5)


def test_the_penalty_is_pefts(base: Base) -> None:
    adapted = attach(base, replace(LORA, rank=4, initial_rank=6), seed=0)
    ids = torch.arange(10, 30)[None]

    with torch.no_grad():
        theirs = adapted.model(input_ids=ids, labels=ids).loss
        plain = adapted.model.get_base_model()(input_ids=ids, labels=ids).loss
        ours = adapted.course.penalty()

    assert ours.item() == pytest.approx((theirs - plain).item(), rel=1e-4)


def test_the_budget_falls_by_hand(base: Base, learn: Callable[[Any, int], list[float]]) -> None:
    adapted = attach(base, replace(LORA, rank=4, initial_rank=6), seed=0)
    adapted.course.begin(10)
    left = []
    for step in range(1, 11):
        learn(adapted.model, 1)  # its gradients stay
        adapted.course.after_step(step)
        left.append(kept(adapted))

    # 14 layers begin with 6 and keep 4 on average: 84, then 56 + 28 (1 - (step - 1) / 6)^3 rounded down, until three
    # steps before the end.
    assert left == [84, *(56 + math.floor(28 * (1 - (step - 1) / 6) ** 3) for step in range(2, 7)), *[56] * 4]


def test_one_step_is_too_few_to_learn_and_then_drop(base: Base) -> None:
    adapted = attach(base, LORA, seed=0)

    with pytest.raises(ConfigError, match="not allowed with 1 optimizer step"):
        adapted.course.begin(1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lora=adalora", "lora.initial_rank=16"], "lora.initial_rank=16 is not allowed with lora.rank=16"),
        (["lora.initial_rank=32"], "lora.initial_rank=32 has no effect with lora.method=lora: add lora=adalora"),
        (["lora=vera", "lora.alpha=8"], "lora.alpha=8 has no effect with lora.method=vera"),
    ],
)
def test_settings_that_cannot_be_or_would_be_left_out_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rules.check(compose(words))

    assert said in str(refused.value)
