"""The task's replies: written, scored by every metric, and counted where they are empty, stuck, cut or no label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.metric import OF_LABELS, Metric
from tune.config.metrics import reply_rates, task_metrics
from tune.config.schema import Config
from tune.data.mask import Tokens
from tune.data.template_check import end_ids
from tune.evaluate.code import score_code
from tune.evaluate.code_jail import CodeScore
from tune.evaluate.conduct import is_empty
from tune.evaluate.drawing import seeds_of
from tune.evaluate.generate import Manner, Reply, write_replies
from tune.evaluate.loops import is_loop
from tune.evaluate.task import NO_LABEL, score_replies, without_label
from tune.trial.task import Task

PREFIX = "reply/"
"""Of the counts among scores and metrics."""

NO_PROGRAM, OVER_LIMIT = "no_program", "over_limit"
"""Rates of replies that do not compile or hold no code, and of programs that ran out of time or memory."""

_MANY = 0.05
"""Share of replies from which on a count is worth a sentence."""

_WORDS = {
    "empty": "are empty",
    "repetition": "say one thing again and again",
    "capped": "were cut at data.max_new_tokens={config.data.max_new_tokens}",
    NO_PROGRAM: "are no Python program",
    OVER_LIMIT: "are programs that ran into evaluate.code.timeout_s={config.evaluate.code.timeout_s} or "
    "evaluate.code.memory_mib={config.evaluate.code.memory_mib}",
    NO_LABEL: "name no label, or several (data.scoring.label_from={config.data.scoring.label_from})",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a model said on the task."""

    replies: tuple[str, ...]
    scores: dict[str, NDArray[np.float64]]
    """(N,) each: by metric, and what is counted, as reply/empty."""


def answer(
    model: Any, tokenizer: Any, config: Config, task: Task, tokens: Sequence[Tokens], *, on: Callable[[int, int], None]
) -> Written:
    """Return a model's replies to the validation questions, and their scores.

    Args:
        model: Adapted or not.
        tokenizer: Its tokenizer.
        config: How replies are written and scored.
        task: With the questions, and what replies are held against.
        tokens: The questions as the model reads them.
        on: Is told (replies so far, N).

    Raises:
        EvaluationError: A metric of the user's own fails; the example is named.
    """
    sampling, asked = config.evaluate.sampling, task.splits.validation
    manner = Manner(
        max_new_tokens=config.data.max_new_tokens,
        end_ids=end_ids(tokenizer),
        stop=config.data.stop,
        sampling=sampling,
        seeds=seeds_of([example.id for example in asked], sampling.seed) if sampling.temperature else (),
    )
    prompts = [item.ids[: item.n_prompt].tolist() for item in tokens]
    size = config.evaluate.generation_batch_size
    replies = write_replies(model, tokenizer, prompts, manner, batch_size=size, on_progress=on)
    texts = [reply.text for reply in replies]
    others = [metric for metric in config.data.metrics if metric is not Metric.code]
    scores = {metric.value: score_replies(asked, texts, metric, task.scoring) for metric in others}
    if Metric.code in config.data.metrics:  # programs are run once, for the score and for what is counted
        scores |= _programs(score_code(asked, texts, task.scoring.code))
    if task.scoring.own:
        scores[task.scoring.own.name] = task.scoring.own.score(asked, texts)
    return Written(replies=tuple(texts), scores=scores | _counted(replies, task, config))


def task_sources(config: Config) -> dict[str, str]:
    """Return metric → key of the scores that it is the mean of."""
    names = task_metrics(config)
    scores = {"task/score": names[0]} | {f"task/{name}": name for name in names}
    return scores | {f"{PREFIX}{rate}": f"{PREFIX}{rate}" for rate in reply_rates(config)}


def reply_notes(scores: Mapping[str, NDArray[np.float64]], config: Config) -> list[str]:
    """Return a sentence for each thing that one reply in twenty or more of the adapted model is."""
    counts = {rate: scores[f"{PREFIX}{rate}"] for rate in reply_rates(config)}
    return [
        f"{int(count.sum())} of {count.size} replies of the adapted model {_WORDS[rate].format(config=config)}."
        for rate, count in counts.items()
        if count.mean() >= _MANY
    ]


def _programs(ends: Sequence[CodeScore]) -> dict[str, NDArray[np.float64]]:
    return {
        Metric.code.value: np.array([float(end.right) for end in ends]),
        f"{PREFIX}{NO_PROGRAM}": np.array([float(end.verdict in {"syntax", "empty"}) for end in ends]),
        f"{PREFIX}{OVER_LIMIT}": np.array([float(end.verdict in {"timeout", "memory"}) for end in ends]),
    }


def _counted(replies: Sequence[Reply], task: Task, config: Config) -> dict[str, NDArray[np.float64]]:
    texts = [reply.text for reply in replies]
    rates = {
        "empty": [is_empty(text) for text in texts],
        "repetition": [is_loop(text) for text in texts],
        "capped": [reply.capped for reply in replies],
    }
    found = {f"{PREFIX}{rate}": np.array(values, dtype=np.float64) for rate, values in rates.items()}
    if task.scoring.labels is not None and any(metric in config.data.metrics for metric in OF_LABELS):
        found[f"{PREFIX}{NO_LABEL}"] = without_label(texts, task.scoring.labels)
    return found
