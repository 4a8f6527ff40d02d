"""A base of each storage trains on a GPU, in bfloat16, and its adapter reloads to equal logits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.toy import ROWS
from tune.config.model import Device, ModelConfig
from tune.config.recipe import LoraConfig, QuantizationConfig, QuantizationKind, TrainConfig
from tune.model import adapt
from tune.model.assets import embedded_folder
from tune.model.load import Base, load_base
from tune.train.fit import fit
from tune.train.watch import Follow

pytestmark = pytest.mark.gpu

TEXTS = ("How many singers are there?", "SELECT count(*) FROM singer", "What is the name of the oldest city?")


@pytest.fixture
def load(tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[QuantizationKind], Base]:
    monkeypatch.setenv("TUNE_CACHE", str(tmp_path / "cache"))
    folder = embedded_folder("tiny", texts=TEXTS, announce=lambda _: None)
    model = ModelConfig(embedded="tiny", device=Device(device))
    return lambda kind: load_base(model, QuantizationConfig(kind=kind), folder=folder)


def ask(model: Any) -> Any:
    """Return the logits, (1, T, V), of a fixed text."""
    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(10, 30, device=model.device)[None]).logits


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", QuantizationKind)
def test_it_trains_and_reloads_to_equal_logits(
    tmp_path: Path, load, note: Callable[..., None], kind: QuantizationKind, checkpointing: bool
) -> None:
    base = load(kind)
    alone = ask(base.model)
    adapted = adapt.attach(base, LoraConfig(rank=4), seed=0)
    recipe = TrainConfig(batch_size=5, epochs=4, learning_rate=1e-2, gradient_checkpointing=checkpointing)
    fitted = fit(adapted.model, base.tokenizer, ROWS, recipe, seed=0, follow=Follow(on_step=lambda *_: None))
    note(dtype=base.dtype, loss_first=fitted.losses[0], loss_last=fitted.losses[-1])
    live = ask(adapted.model)
    formats = {p.dtype for p in adapted.model.parameters() if p.requires_grad}
    adapt.save(adapted, tmp_path / "adapter")
    adapt.detach(adapted)

    assert base.dtype == (torch.bfloat16 if base.device.type == "cuda" else torch.float32)
    assert formats == {torch.float32}
    assert sum(fitted.losses[-2:]) < sum(fitted.losses[:2])
    assert torch.equal(ask(base.model), alone)
    assert torch.equal(ask(adapt.reload(load(kind), tmp_path / "adapter").model), live)
    assert not torch.equal(live, alone)
