"""What `lora.targets` and `lora.layers` may say; which layers of a model that means is found out in tune.model.

Both are one text, not a list, because a sweep's choices must be texts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tune.errors import ConfigError, nearest


class Part(StrEnum):
    """What a linear layer does in its block."""

    q = "q"
    """Makes the queries."""

    k = "k"
    """Makes the keys."""

    v = "v"
    """Makes the values."""

    o = "o"
    """Writes what attention found back."""

    gate = "gate"
    """Opens and closes what `up` made; blocks without a gated MLP have none."""

    up = "up"
    """Widens to the inner size of the MLP."""

    down = "down"
    """Writes the MLP's result back."""


class Group(StrEnum):
    """The layers of one half of each block, or of both; also those that are no `Part`."""

    attention = "attention"
    mlp = "mlp"
    all_linear = "all_linear"


PRESETS: dict[str, tuple[Part | Group, ...]] = {"qv": (Part.q, Part.v), "qkvo": (Group.attention,)}
"""Words that mean others."""

_EXPRESSION = "re:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`lora.targets`, read: either words or an expression."""

    words: tuple[Part | Group, ...] = ()
    expression: re.Pattern[str] | None = None
    """Matches whole names of layers, as PEFT's own target_modules do."""


def read_targets(text: str) -> Wanted:
    """Return what `lora.targets` asks for.

    Raises:
        ConfigError: A word is unknown, or the expression is none.
    """
    if text.startswith(_EXPRESSION):
        try:
            return Wanted(expression=re.compile(text.removeprefix(_EXPRESSION)))
        except re.error as error:
            msg = (
                f"lora.targets={text} is not allowed: behind re: stands no regular expression ({error}). Mend it; it "
                r"must match whole names of layers, for example re:.*\.(q|v)_proj."
            )
            raise ConfigError(msg) from error
    known: dict[str, tuple[Part | Group, ...]] = {
        **{part.value: (part,) for part in Part},
        **{group.value: (group,) for group in Group},
        **PRESETS,
    }
    words = [word.strip() for word in re.split(r"[+,]", text)]
    for word in words:
        if word not in known:
            msg = (
                f"lora.targets={text} is not allowed: {word or 'an empty word'} is unknown. {nearest(word, known)} "
                "Join several with +, as in q+v+down, or write an expression over the layers' names: re:…"
            )
            raise ConfigError(msg)
    return Wanted(words=tuple(dict.fromkeys(meaning for word in words for meaning in known[word])))


def impossible_targets(lora: Any) -> Iterator[str]:
    """Yield a sentence for every text among the settings of the adapter that cannot be read."""
    try:
        read_targets(lora.targets)
    except ConfigError as error:
        yield str(error)
