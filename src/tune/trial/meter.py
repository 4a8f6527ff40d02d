"""What a trial costs: seconds and the largest memory it held."""

import ctypes
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
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
            give_back_freed()

    def read(self) -> dict[str, float]:
        """Return the costs so far.

        cost/seconds in all, cost/<phase>_seconds, and cost/peak_gib: of the GPU, or the largest resident size of this
        process since `forget_peak`, loading the base included. A trial that went on from a checkpoint counts its last
        attempt.
        """
        import torch

        peak = torch.cuda.max_memory_allocated(self._device) if self._cuda else _largest_resident_bytes()
        return {
            "cost/seconds": time.monotonic() - self._started,
            **{f"cost/{name}_seconds": seconds for name, seconds in self._seconds.items()},
            "cost/peak_gib": peak / 1024**3,
        }


def _largest_resident_bytes() -> int:
    """Return the largest resident size of this process.

    The kernel's own mark where there is one: ru_maxrss begins with the size of the process that started this one, and
    cannot begin anew. Source: proc(5), VmHWM.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def give_back_freed() -> None:
    """Give memory that was freed back to the system, where the C library would keep it.

    GNU's keeps the holes between what lives: after loading in four bits 0.4 GiB, after training as much as a step
    held, and what comes next would lie beside them.

    Source: malloc_trim(3).
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library than GNU's
            ctypes.CDLL(None).malloc_trim(0)


def forget_peak() -> None:
    """Give freed memory back to the system and let the largest resident size begin anew.

    A process that runs one trial after the other does so between them: else a small trial would be told the peak of a
    large one before it. Elsewhere than on Linux the largest of all stays.

    Source: proc(5), /proc/pid/clear_refs, value 5.
    """
    give_back_freed()
    if sys.platform != "linux":
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
