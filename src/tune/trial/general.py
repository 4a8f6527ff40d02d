"""What shows forgetting beside the knowledge questions: tasks of lm-eval, and the perplexity of general texts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.lm_tasks import chosen_tasks
from tune.config.schema import Config
from tune.errors import EvaluationError
from tune.evaluate.corpus import Corpus
from tune.evaluate.difference import score_delta
from tune.evaluate.lm_scores import score_lm_task
from tune.evaluate.perplexity import measure_surprise
from tune.evaluate.perplexity_delta import perplexity_delta
from tune.trial.meter import give_back_freed
from tune.trial.task import Task

_LEAST = 2  # tokens, the first of which is only read; and documents

Scores = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class General:
    """One model's scores, item by item."""

    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """(N,) each: general/TASK, and corpus/nats with corpus/tokens of each document."""

    ids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """(N,) each: general/TASK and corpus."""


def measure_general(
    model: Any, tokenizer: Any, config: Config, task: Task, *, on: Callable[[str, int, int], None]
) -> General:
    """Return a model's scores on the tasks of lm-eval and on the corpus; nothing where nobody asked for them.

    Raises:
        Diverged: A score is NaN or infinite.
        EvaluationError: A task cannot be scored item by item, or the corpus has too few documents for this tokenizer.
    """
    found, evaluate = General(), config.evaluate
    for one in task.lm_tasks:
        give_back_freed()
        found.scores[f"general/{one.name}"] = score_lm_task(
            model,
            tokenizer,
            one,
            batch_size=evaluate.generation_batch_size if one.writes else evaluate.batch_size,
            on_progress=lambda done, total, name=one.name: on(name, done, total),  # type: ignore[misc]
        )
        found.ids[f"general/{one.name}"] = one.ids
    if task.corpus is not None:
        give_back_freed()
        ids, tokens = corpus_tokens(tokenizer, task.corpus, most=evaluate.corpus_tokens)
        surprise = measure_surprise(
            model,
            [(one, 0) for one in tokens],
            batch_size=evaluate.batch_size,
            pad_id=tokenizer.pad_token_id,
            on_progress=lambda done, total: on("corpus", done, total),
        )
        found.scores.update({"corpus/nats": surprise.text, "corpus/tokens": surprise.text_tokens})
        found.ids["corpus"] = ids
    return found


def corpus_tokens(tokenizer: Any, corpus: Corpus, *, most: int) -> tuple[tuple[str, ...], list[list[int]]]:
    """Return the ids of the documents and the tokens at their beginnings, without a chat template around them.

    A document of a single token is left out: nothing of it is predicted.

    Raises:
        EvaluationError: Fewer than two are left.
    """
    tokens = [list(tokenizer(text).input_ids[:most]) for text in corpus.documents]
    kept = [(name, one) for name, one in zip(corpus.ids, tokens, strict=True) if len(one) >= _LEAST]
    if len(kept) < _LEAST:
        msg = (
            f"evaluate.corpus: {len(kept)} of {len(tokens)} documents have two tokens or more, and two such documents "
            "are needed. Divide longer texts by blank lines, or leave the corpus out."
        )
        raise EvaluationError(msg)
    return tuple(name for name, _ in kept), [one for _, one in kept]


def compare_general(base: Scores, tuned: Scores, config: Config) -> dict[str, float]:
    """Return metrics and paired changes, by the names of `tune.config.metrics`."""
    evaluate, metrics = config.evaluate, dict[str, float]()
    for task in chosen_tasks(tuple(evaluate.tasks), evaluate.tasks_dir):
        name, before, after = f"general/{task.name}", base[f"general/{task.name}"], tuned[f"general/{task.name}"]
        delta = score_delta(before, after, confidence=evaluate.confidence)
        metrics |= {
            f"{name}/{task.metric}": float(after.mean()),
            f"{name}/{task.metric}_base": float(before.mean()),
            f"{name}/delta": delta.mean,
            f"{name}/delta_low": delta.low,
            f"{name}/delta_high": delta.high,
            f"{name}/delta_stderr": delta.stderr,
        }
    if evaluate.corpus is not None:
        metrics |= _perplexity(base["corpus/nats"], tuned["corpus/nats"], base["corpus/tokens"], evaluate.confidence)
    return metrics


def _perplexity(
    base: NDArray[np.float64], tuned: NDArray[np.float64], tokens: NDArray[np.float64], confidence: float
) -> dict[str, float]:
    delta = perplexity_delta(base, tuned, tokens, confidence=confidence)
    return {
        "perplexity/general": float(np.exp(tuned.sum() / tokens.sum())),
        "perplexity/general_base": float(np.exp(base.sum() / tokens.sum())),
        "perplexity/general_delta": delta.mean,
        "perplexity/general_delta_low": delta.low,
        "perplexity/general_delta_high": delta.high,
    }
