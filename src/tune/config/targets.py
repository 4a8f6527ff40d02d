"""What `lora.targets` and `lora.layers` may say; which layers of a model that means is found out in tune.model.

Both are one text, not a list, because a sweep's choices must be texts.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from tune.config.recipe import LoraConfig
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


@dataclass(frozen=True, slots=True)
class Blocks:
    """`lora.layers`, read."""

    last: int | None = None
    """The last so many blocks, those nearest to the output."""

    numbers: tuple[int, ...] = ()
    """Blocks by their number, from 0, in order."""

    def of(self, n_blocks: int) -> tuple[int, ...]:
        """Return the numbers of the blocks in a model that has `n_blocks`; some may lie beyond them."""
        return self.numbers if self.last is None else tuple(range(n_blocks - self.last, n_blocks))


_TOP = re.compile(r"top ?(\d{1,4})")
_RUN = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


def read_layers(text: str | None) -> Blocks | None:
    """Return what `lora.layers` asks for; None for every block.

    Raises:
        ConfigError: The text is none of its forms, or asks for no block.
    """
    if text is None or text == "all":
        return None
    top = _TOP.fullmatch(text)
    if top:
        blocks = Blocks(last=int(top[1]))
    else:
        runs = [_RUN.fullmatch(run.strip()) for run in re.split(r"[+,]", text)]
        spans = [(int(run[1]), int(run[2] or run[1])) for run in runs if run]
        numbers = {number for low, high in spans for number in range(low, high + 1)}
        whole = len(spans) == len(runs) and all(low <= high for low, high in spans)
        blocks = Blocks(numbers=tuple(sorted(numbers)) if whole else ())
    if not (blocks.last or blocks.numbers):
        msg = (
            f"lora.layers={text} is not allowed: write top 8 for the last 8 blocks, 0-7 for a range with both its "
            "ends, 0+2+5 for some (the first block is 0), or all; null is all too."
        )
        raise ConfigError(msg)
    return blocks


@dataclass(frozen=True, slots=True)
class Assigned:
    """A number for some layers, of `lora.rank_pattern` or `lora.alpha_pattern`."""

    text: str
    """As it was written."""

    number: int
    targets: Wanted | None = None
    blocks: Blocks | None = None
    """Either these layers of every block, or all layers of these blocks."""


def read_pattern(text: str | None, *, key: str) -> tuple[Assigned, ...]:
    """Return what `lora.rank_pattern` or `lora.alpha_pattern` asks for.

    Args:
        text: Its value.
        key: Which of the two.

    Raises:
        ConfigError: A part is no NAME:NUMBER, or names neither layers nor blocks.
    """
    return () if text is None else tuple(_assigned(part.strip(), text, key) for part in re.split(r"[+,]", text))


def _assigned(part: str, text: str, key: str) -> Assigned:
    name, _, number = (piece.strip() for piece in part.rpartition(":"))
    if name and number.isdecimal() and int(number) > 0:
        with suppress(ConfigError):
            return Assigned(part, int(number), targets=read_targets(name))
        with suppress(ConfigError):
            if blocks := read_layers(name):
                return Assigned(part, int(number), blocks=blocks)
    msg = (
        f"{key}={text} is not allowed: {part or 'an empty part'} is no NAME:NUMBER. Before the colon stands a word of "
        f"lora.targets ({', '.join([*Part, *Group, *PRESETS])}) or blocks as in lora.layers (top 8, 0-7), behind it a "
        "whole number of 1 or more; join several with +, as in mlp:8+down:32."
    )
    raise ConfigError(msg)


def read_modules(text: str | None) -> tuple[str, ...]:
    """Return the ends of modules' names that `lora.modules_to_save` gives.

    Raises:
        ConfigError: A part is no name.
    """
    words = [] if text is None else [word.strip() for word in re.split(r"[+,]", text)]
    for word in words:
        if not re.fullmatch(r"\w+(\.\w+)*", word):
            msg = (
                f"lora.modules_to_save={text} is not allowed: {word or 'an empty word'} is no name of a module. Write "
                "the ends of their names, joined with +, as in embed_tokens+lm_head; or leave it out."
            )
            raise ConfigError(msg)
    return tuple(dict.fromkeys(words))


def impossible_targets(lora: LoraConfig) -> Iterator[str]:
    """Yield a sentence for every text among the settings of the adapter that cannot be read."""
    readings: tuple[Callable[[], object], ...] = (
        lambda: read_targets(lora.targets),
        lambda: read_layers(lora.layers),
        lambda: read_pattern(lora.rank_pattern, key="lora.rank_pattern"),
        lambda: read_pattern(lora.alpha_pattern, key="lora.alpha_pattern"),
        lambda: read_modules(lora.modules_to_save),
    )
    for read in readings:
        try:
            read()
        except ConfigError as error:
            yield str(error)
