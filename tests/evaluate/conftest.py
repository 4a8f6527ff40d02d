"""The tiny base, for tests that need a real model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tune.config.compose import compose


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The embedded tiny model with its tokenizer, on the CPU."""
    import torch

    from tune.model.load import load_base
    from tune.trial.task import model_folder

    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    patch.setenv("TUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
    config = compose(["model=tiny"])
    folder: Path = model_folder(config, announce=print)
    yield load_base(config.model, config.quantization, folder=folder)
    patch.undo()
