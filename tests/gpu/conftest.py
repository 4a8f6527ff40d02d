"""Tests that need an NVIDIA GPU; elsewhere they are skipped, and say so. scripts/gpu_check prints them as a table."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # the trainer would split a batch over all that it sees

DEVICE = "cuda"


def pytest_runtest_setup() -> None:
    """Skip before any fixture is made."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: torch.cuda.is_available() is false")


@pytest.fixture(autouse=True)
def _one_order_of_adding() -> Iterator[None]:
    """Other kernels add up in an order of their own each time; what is compared bit for bit must not."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        yield


@pytest.fixture
def device() -> str:
    return DEVICE


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Keep figures for the table."""

    def note(**figures: Any) -> None:
        shown = (
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
        )
        record_property("figures", ", ".join(shown))

    return note
