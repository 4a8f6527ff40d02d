"""What a trial costs: seconds and the largest memory it held."""

import resource
import time
from typing import Any


class Meter:
    """Counts from its making; create it before the work."""

    def __init__(self, device: Any) -> None:
        import torch

        self._cuda = device.type == "cuda"
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(device)
        self._device = device
        self._started = time.monotonic()

    def read(self) -> dict[str, float]:
        """Return cost/seconds, and cost/peak_gib: of the GPU, or the largest resident size of this process so far."""
        import torch

        peak = (
            torch.cuda.max_memory_allocated(self._device)
            if self._cuda
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        )
        return {"cost/seconds": time.monotonic() - self._started, "cost/peak_gib": peak / 1024**3}
