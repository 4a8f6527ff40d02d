"""The fixed prompts put to a model: written with its chat template, cut where they are too long, answered greedily."""

import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.data import Learn
from tune.config.schema import Config
from tune.data.mask import tokenize
from tune.data.template_check import end_ids
from tune.errors import ConfigError
from tune.evaluate.conduct import CONDUCT, conduct, conduct_change
from tune.evaluate.generate import generate_replies
from tune.evaluate.prompts import Prompt
from tune.examples import Example, Message

PREFIX = "prompts/"
"""Of the scores and of the metrics."""

_LONG = 256
"""Tokens from which on prompts are answered apart from shorter ones, which would be padded to their length."""

_CUT = " … "


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A prompt as the model reads it."""

    ids: list[int]
    """Token ids, up to where the reply starts."""

    was_cut: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a model said to the prompts."""

    replies: tuple[str, ...] = ()
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """(N,) each, by what `conduct` tells, as prompts/refusal."""

    ids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """(N,) each: prompts, their ids, and prompt_kinds."""


def prompt_tokens(tokenizer: Any, config: Config, prompts: Sequence[Prompt]) -> list[Asked]:
    """Return the prompts in the tokenizer's chat template.

    One of more than evaluate.prompts_max_tokens keeps as many characters of its text as fit, half of them from its
    beginning and half from its end, with … between.

    Raises:
        ConfigError: Not even a prompt without its text fits.
        DataError: The chat template refuses a prompt.
    """
    return [_asked(tokenizer, config, prompt) for prompt in prompts]


def ask(
    model: Any, tokenizer: Any, config: Config, prompts: Sequence[Prompt], *, on: Callable[[int, int], None]
) -> Said:
    """Return a model's replies to the prompts and what they are like; nothing where there is no prompt."""
    if not prompts:
        return Said()
    replies = _replies(model, tokenizer, config, [one.ids for one in prompt_tokens(tokenizer, config, prompts)], on)
    return Said(
        replies=tuple(replies),
        scores={f"{PREFIX}{name}": values for name, values in conduct(replies).items()},
        ids={"prompts": tuple(one.id for one in prompts), "prompt_kinds": tuple(one.kind for one in prompts)},
    )


def compare_prompts(
    base: Mapping[str, NDArray[np.float64]],
    tuned: Mapping[str, NDArray[np.float64]],
    kinds: Sequence[str],
    *,
    confidence: float,
) -> dict[str, float]:
    """Return the rates of the adapted model, of its base, and their paired changes, by the names of metrics.

    Args:
        base: Scores of the base, those of the prompts among them.
        tuned: The same of the adapted model.
        kinds: (N,) kind of each prompt.
        confidence: Probability that the intervals are meant to cover.
    """
    before, after = ({name: side[f"{PREFIX}{name}"] for name in CONDUCT} for side in (base, tuned))
    metrics: dict[str, float] = {}
    for name, (of_base, of_tuned, delta) in conduct_change(before, after, kinds, confidence=confidence).items():
        values = {
            "": of_tuned,
            "_base": of_base,
            "_delta": delta.mean,
            "_delta_low": delta.low,
            "_delta_high": delta.high,
        }
        metrics |= {f"{PREFIX}{name}{end}": value for end, value in values.items()}
    return metrics


def cut_note(tokenizer: Any, config: Config, prompts: Sequence[Prompt]) -> list[str]:
    """Return a sentence where prompts had to be cut."""
    n_cut = sum(one.was_cut for one in prompt_tokens(tokenizer, config, prompts))
    limit = f"evaluate.prompts_max_tokens={config.evaluate.prompts_max_tokens}"
    return [f"{n_cut} of {len(prompts)} prompts are longer than {limit} and lost the middle of their text."] * (
        n_cut > 0
    )


def _further(on: Callable[[int, int], None], n_before: int, n_all: int) -> Callable[[int, int], None]:
    return lambda n_done, _: on(n_before + n_done, n_all)


def _replies(
    model: Any, tokenizer: Any, config: Config, asked: Sequence[list[int]], on: Callable[[int, int], None]
) -> list[str]:
    replies = [""] * len(asked)
    n_done = 0
    for chosen in _by_length(asked):
        texts = generate_replies(
            model,
            tokenizer,
            [asked[index] for index in chosen],
            end_ids=end_ids(tokenizer),
            max_new_tokens=config.evaluate.prompts_max_new_tokens,
            batch_size=config.evaluate.generation_batch_size,
            on_progress=_further(on, n_done, len(asked)),
        )
        for index, text in zip(chosen, texts, strict=True):
            replies[index] = text
        n_done += len(chosen)
    return replies


def _by_length(asked: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    for is_long in (True, False):
        if chosen := [index for index, ids in enumerate(asked) if (len(ids) > _LONG) is is_long]:
            yield chosen


def _asked(tokenizer: Any, config: Config, prompt: Prompt) -> Asked:
    limit, text = config.evaluate.prompts_max_tokens, prompt.text

    def ids(content: str) -> list[int]:
        return _ids(tokenizer, prompt, system=prompt.system or config.data.system, content=content)

    whole = ids(text)
    if len(whole) <= limit:
        return Asked(ids=whole, was_cut=False)
    n_kept = bisect.bisect_right(range(len(text)), limit, key=lambda kept: len(ids(_shortened(text, kept)))) - 1
    if n_kept < 0:
        msg = (
            f"evaluate.prompts_max_tokens={limit} is not allowed with this model and data.system: prompt {prompt.id} "
            f"has more tokens than that without its text. Take {len(ids(_CUT)) + _LONG} or more."
        )
        raise ConfigError(msg)
    return Asked(ids=ids(_shortened(text, n_kept)), was_cut=True)


def _shortened(text: str, n_kept: int) -> str:
    n_end = n_kept // 2
    return f"{text[: n_kept - n_end]}{_CUT}{text[len(text) - n_end :]}"


def _ids(tokenizer: Any, prompt: Prompt, *, system: str | None, content: str) -> list[int]:
    said = [Message(role="system", content=system)] if system else []
    # An answer has to be there for the tokens before it; which one makes no difference to them.
    example = Example(id=prompt.id, messages=(*said, Message(role="user", content=content)), answer="word")
    tokens = tokenize(tokenizer, example, Learn.last)
    given: list[int] = tokens.ids[: tokens.n_prompt].tolist()
    return given
