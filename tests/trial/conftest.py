"""A tiny model on its bench, shared by the tests of a session."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tune.config.compose import compose
from tune.config.schema import Config
from tune.trial.bench import Bench, open_bench
from tune.trial.task import model_folder, read_task

SMALL = (
    *("model=tiny", "data.n_train=12", "data.n_validation=4", "data.n_test=2"),
    *("data.max_new_tokens=8", "evaluate.limit=1"),
)


@pytest.fixture(scope="session")
def small() -> Callable[..., Config]:
    """Compose a configuration whose trial takes seconds."""
    return lambda *overrides: compose([*SMALL, *overrides])


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own."""
    folder = tmp_path_factory.mktemp("cache")
    patch = pytest.MonkeyPatch()
    patch.setenv("TUNE_CACHE", str(folder))
    yield folder
    patch.undo()


@pytest.fixture(scope="session")
def bench(cache: Path, small: Callable[..., Config]) -> Bench:  # noqa: ARG001 - the model goes into that cache
    """The tiny base and the small task."""
    torch.set_num_threads(1)
    config = small()
    return open_bench(config, read_task(config), folder=model_folder(config, announce=print))
