"""How a model did on each item of lm-eval's tasks: its own `hf` model reads and writes, its own tasks score."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.errors import ConfigError, Diverged, EvaluationError
from tune.evaluate.lm_items import LmTask
from tune.evaluate.reader import Progress, evaluating, longest_text, open_reader, quiet

MOST_NEW_TOKENS = 256
"""Longest reply where a task does not say; lm-eval's own default."""


def score_lm_task(
    model: Any,
    tokenizer: Any,
    task: LmTask,
    *,
    batch_size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Return (N,) the main metric of each item; the model and the tokenizer stay as they were.

    Args:
        model: A causal language model of transformers, quantized or not, or a PEFT model around one.
        tokenizer: Its tokenizer.
        task: The task with its items.
        batch_size: Sequences in one pass; changes scores slightly, so it belongs in the fingerprint.
        on_progress: Is told (requests so far, requests in all).

    Raises:
        Diverged: A log-probability is NaN or infinite.
        ConfigError: The task writes longer replies than the model has context for.
        EvaluationError: The task's scoring gives no number for an item.

    Source: https://github.com/EleutherAI/lm-evaluation-harness, its evaluator without groups and standard errors.
    """
    # Answers are written into copies: the next model finds the requests as they were.
    items = [[dataclasses.replace(request, resps=[], filtered_resps={}) for request in one] for one in task.requests]
    asked = [request for one in items for request in one for _ in range(request.repeats)]
    with quiet(), evaluating(model), _same_draws(model):
        reader = open_reader(model, tokenizer, batch_size)
        reader.set_cache_hook(Progress(len(asked), requests_each=1, report=on_progress))
        for request, answer in zip(asked, _answers(reader, asked, task), strict=True):
            request.resps.append(answer)
        _main_filter(task).apply([request for one in items for request in one])
        return np.array([_score(task, i, one) for i, one in enumerate(items)], dtype=np.float64)


def longest_asked(tokenizer: Any, tasks: Sequence[LmTask]) -> int:
    """Return how many tokens of the longest item the models read, its reply included; the last is only predicted."""
    lengths = [
        (longest_text(tokenizer, {request.args[0]}) + new_tokens(task))
        if task.writes
        else longest_text(tokenizer, {"".join(request.args)})
        for task in tasks
        for request in _longest_requests(task)
    ]
    return max(lengths, default=1) - 1


def longest_prompt(tokenizer: Any, tasks: Sequence[LmTask]) -> tuple[int, int]:
    """Return the most tokens of a prompt that a reply is written to, and of a reply; 0 and 0 where none is."""
    writing = [task for task in tasks if task.writes]
    prompts = {request.args[0] for task in writing for request in _longest_requests(task)}
    return longest_text(tokenizer, prompts), max((new_tokens(task) for task in writing), default=0)


def new_tokens(task: LmTask) -> int:
    """Return the most tokens of a reply."""
    settings = task.definition.config.generation_kwargs or {}
    given = (settings.get(key) for key in ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"))
    return next((int(value) for value in given if value is not None), MOST_NEW_TOKENS)


def _longest_requests(task: LmTask) -> list[Any]:
    """Return the requests with the most characters, among which the one with the most tokens is."""
    every = [request for one in task.requests for request in one]
    return sorted(every, key=lambda request: -sum(len(str(text)) for text in request.args[:2]))[:32]


def _answers(reader: Any, asked: Sequence[Any], task: LmTask) -> list[Any]:
    """Return lm-eval's answer to each request."""
    if not task.writes:
        answers: list[Any] = reader.loglikelihood(asked, disable_tqdm=True)
        bad = int(np.count_nonzero(~np.isfinite([logprob for logprob, _greedy in answers])))
        if bad:
            msg = f"{task.name}: {bad} of {len(asked)} log-probabilities are NaN or infinite"
            raise Diverged(msg)
        return answers
    if new_tokens(task) >= reader.max_length:
        msg = (
            f"evaluate.tasks: {task.name} writes up to {new_tokens(task)} tokens, and this model has a context of "
            f"{reader.max_length}: leave the task out, or take a model with a longer one."
        )
        raise ConfigError(msg)
    replies: list[Any] = reader.generate_until(asked, disable_tqdm=True)
    return replies


def _score(task: LmTask, place: int, requests: Sequence[Any]) -> float:
    """Return lm-eval's verdict on an item."""
    answers = [request.filtered_resps[task.filter] for request in requests]
    verdict = task.definition.process_results(requests[0].doc, answers)
    value = verdict.get(task.metric)
    if isinstance(value, bool | int | float | np.number) and np.isfinite(value):
        return float(value)
    msg = (
        f"evaluate.tasks: {task.name} gives {task.metric}={value!r} for item {task.ids[place]}, where a number must "
        "stand, so base and adapter cannot be compared item by item. Leave the task out."
    )
    raise EvaluationError(msg)


def _main_filter(task: LmTask) -> Any:
    """Return what makes the answer of a reply, as lm-eval builds it."""
    from lm_eval.filters import build_filter_ensemble

    listed = task.definition.config.filter_list
    steps = listed[0]["filter"] if listed else [{"function": "take_first"}]
    settings = [{key: value for key, value in step.items() if key != "function"} for step in steps]
    return build_filter_ensemble(
        task.filter, [[step["function"], own] for step, own in zip(steps, settings, strict=True)]
    )


@contextmanager
def _same_draws(model: Any) -> Iterator[None]:
    """Let a task that samples draw the same from base and adapter, and leave the trial's own numbers alone."""
    import torch

    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        yield
