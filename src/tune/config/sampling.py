"""How the task's replies are drawn; part of the recipe (see tune.config.recipe)."""

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class SamplingConfig:
    """Greedy replies, or sampled ones; fixed prompts are always answered greedily.

    Each example has random numbers of its own, the same for base and adapted model and in any batch.
    """

    temperature: float = 0.0
    """0 takes the likeliest token; above it tokens are drawn, the more evenly the higher. From 0 to 10."""

    top_p: float = 1.0
    """Drawn from the likeliest tokens that together have this probability. Above 0, at most 1."""

    seed: int = 0
    """Draws the replies; the trial's own seed has no part in it. At least 0."""
