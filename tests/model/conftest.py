"""A toy base that every test of the model folder shares, in a cache of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tune.config.model import Device, Dtype, ModelConfig
from tune.config.recipe import QuantizationConfig, QuantizationKind
from tune.model.assets import embedded_folder
from tune.model.load import Base, load_base

TEXTS = (
    "How many singers are there?",
    "SELECT count(*) FROM singer",
    "What is the name of the oldest city?",
    "SELECT name FROM city ORDER BY age DESC LIMIT 1",
)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    # The real model comes from the user's cache, or is fetched into it once.
    if request.node.get_closest_marker("real") is None:
        monkeypatch.setenv("TUNE_CACHE", str(shared_cache))


@pytest.fixture
def texts() -> tuple[str, ...]:
    return TEXTS


@pytest.fixture(scope="session")
def tiny_folder(shared_cache: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_CACHE", str(shared_cache))
        return embedded_folder("tiny", texts=TEXTS, announce=lambda _: None)


@pytest.fixture
def load(tiny_folder: Path) -> Callable[..., Base]:
    def load(kind: QuantizationKind, *, dtype: Dtype = Dtype.auto, **settings: Any) -> Base:
        model = ModelConfig(embedded="tiny", device=Device.cpu, dtype=dtype)
        return load_base(model, QuantizationConfig(kind=kind, **settings), folder=tiny_folder)

    return load


@pytest.fixture
def base(load: Callable[..., Base]) -> Base:
    return load(QuantizationKind.none)


@pytest.fixture
def ask() -> Callable[[Any], Any]:
    """Return the logits, (1, T, V), of a model for a fixed text."""
    import torch

    def ask(model: Any) -> Any:
        with torch.no_grad():
            return model.eval()(input_ids=torch.arange(10, 30)[None]).logits

    return ask


@pytest.fixture
def learn() -> Callable[[Any, int], list[float]]:
    """Train every parameter that asks for gradients on a fixed text; return the losses."""
    import torch

    def learn(model: Any, n_steps: int) -> list[float]:
        ids = torch.arange(10, 30)[None]  # (1, 20)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
        losses = []
        for _ in range(n_steps):
            loss = model.train()(input_ids=ids, labels=ids).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return learn
