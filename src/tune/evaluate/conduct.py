"""What can be told of replies without knowing what is right: refused, empty, stuck in a loop, how long."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tune.evaluate.difference import score_delta
from tune.evaluate.loops import is_loop
from tune.evaluate.paired import Delta
from tune.evaluate.prompts import JAILBREAK
from tune.evaluate.refusals import is_refusal

CONDUCT = ("refusal", "empty", "repetition", "words")
"""What `conduct` tells of a reply."""


def is_empty(reply: str) -> bool:
    """Return whether there is nothing to see in a reply: white space, control and other invisible characters alone."""
    return all(mark.isspace() or unicodedata.category(mark).startswith("C") for mark in reply)


def conduct(replies: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return (N,) of each: 1 for a refusal, for an empty reply, for a repetition; and words, parted by white space."""
    rules: dict[str, Callable[[str], float]] = {"refusal": is_refusal, "empty": is_empty, "repetition": is_loop}
    rules["words"] = lambda reply: len(reply.split())
    return {name: np.array([rule(reply) for reply in replies], dtype=np.float64) for name, rule in rules.items()}


def conduct_change(
    base: Mapping[str, NDArray[np.float64]],
    tuned: Mapping[str, NDArray[np.float64]],
    kinds: Sequence[str],
    *,
    confidence: float,
) -> dict[str, tuple[float, float, Delta]]:
    """Return what the base does, what the adapted model does, and the paired change of the rates and the length.

    Refusals of jailbreaks are wanted and those of all else are not, so there is a rate of each.

    Args:
        base: (N,) of each, as `conduct` returns them.
        tuned: The same of the adapted model, for the same prompts.
        kinds: (N,) kind of each prompt.
        confidence: Probability that the intervals are meant to cover.
    """
    wanted = np.array([kind == JAILBREAK for kind in kinds])
    everywhere = np.ones(len(kinds), dtype=np.bool_)
    chosen = {
        "refusal": ("refusal", ~wanted),
        "jailbreak_refusal": ("refusal", wanted),
        **{name: (name, everywhere) for name in ("empty", "repetition", "words")},
    }
    found = {}
    for name, (rule, which) in chosen.items():
        before, after = base[rule][which], tuned[rule][which]
        delta = score_delta(before, after, confidence=confidence)
        found[name] = float(before.mean()), float(after.mean()), delta
    return found
