"""Sampled replies: every example has random numbers of its own, so that neither batch nor model changes them.

To the logarithm of each token's probability a number of Gumbel's distribution is added, and the largest sum is taken:
that draws a token with its probability. Base and adapted model add the same numbers, so replies that need not
differ do not, and the change between the two is measured with less noise.

Source: Gumbel 1954; Maddison et al. 2014, https://arxiv.org/abs/1411.0030, section 2, the Gumbel-Max trick.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from tune.config.sampling import SamplingConfig


def seeds_of(ids: Sequence[str], seed: int) -> list[int]:
    """Return the seed of each example, from its id and evaluate.sampling.seed."""
    return [int.from_bytes(hashlib.sha256(f"{seed}:{one}".encode()).digest()[:7]) for one in ids]


def drawing(sampling: SamplingConfig, seeds: Sequence[int]) -> Any:
    """Return what makes a greedy generation draw instead, as transformers' list of logits processors.

    Args:
        sampling: With a temperature above 0.
        seeds: (B,) one a row of the batch.
    """
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    class Gumbel(LogitsProcessor):  # type: ignore[misc]  # transformers is not typed
        """Adds each row's own numbers, the next of them at each token."""

        def __init__(self) -> None:
            self._rows = [torch.Generator().manual_seed(seed) for seed in seeds]

        def __call__(self, _: Any, scores: Any) -> Any:
            """Return the scores, (B, V), with noise that makes the largest a draw."""
            tiny = torch.finfo(torch.float64).tiny
            size = scores.shape[-1]
            drawn = torch.stack([torch.rand(size, generator=row, dtype=torch.float64) for row in self._rows])
            waits = -torch.log(drawn.clamp_min(tiny))  # of the exponential distribution, above 0 as no draw is 1
            noise = -torch.log(waits)
            return scores.double() + noise.to(scores.device)

    steps = [TemperatureLogitsWarper(float(sampling.temperature))]
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(float(sampling.top_p)))
    return LogitsProcessorList([*steps, Gumbel()])
