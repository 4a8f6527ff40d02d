"""What a trial costs: seconds and the largest memory it held."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PHASES = ("base", "train", "evaluate")
"""What is timed apart: measuring, or waiting for, the base's scores; training; scoring the adapted model."""


class Meter:
    """Counts from its making; create it before the work."""

    def __init__(self, device: Any) -> None:
        import torch

        self._cuda = device.type == "cuda"
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(device)
        self._device = device
        self._started = time.monotonic()
        self._seconds = dict.fromkeys(PHASES, 0.0)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block towards one of PHASES."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] += time.monotonic() - began

    def read(self) -> dict[str, float]:
        """Return the costs so far.

        cost/seconds in all, cost/<phase>_seconds, and cost/peak_gib: of the GPU, or the largest resident size of this
        process so far. A trial that went on from a checkpoint counts its last attempt.
        """
        import torch

        peak = (
            torch.cuda.max_memory_allocated(self._device)
            if self._cuda
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        )
        return {
            "cost/seconds": time.monotonic() - self._started,
            **{f"cost/{name}_seconds": seconds for name, seconds in self._seconds.items()},
            "cost/peak_gib": peak / 1024**3,
        }
