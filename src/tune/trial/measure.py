"""Measure a model, adapted or not, on everything that is reported; and compare two such measurements."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.data import Learn
from tune.config.metrics import PREFIX
from tune.config.schema import Config
from tune.data.mask import Tokens, tokenize_all
from tune.errors import EvaluationError
from tune.evaluate.difference import score_delta
from tune.evaluate.harness import score_choices
from tune.evaluate.paired import Delta
from tune.evaluate.perplexity import Surprise, measure_surprise
from tune.evaluate.perplexity_delta import perplexity_delta
from tune.trial.general import compare_general, measure_general
from tune.trial.meter import give_back_freed
from tune.trial.prompts import ask, compare_prompts
from tune.trial.replies import answer, task_sources
from tune.trial.task import Task

Progress = Callable[[str, int, int], None]
"""Is told (phase, done, in all)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One model's scores, example by example."""

    fingerprint: str
    """What model was measured how on what; only the model may differ between the two sides of a delta."""

    scores: dict[str, NDArray[np.float64]]
    """(N,) each; by metric of the task, as reply/empty where replies are counted; general/right, general/logprob."""

    ids: dict[str, tuple[str, ...]]
    """What the scores belong to: task, general with subject, prompts with prompt_kinds."""

    replies: tuple[str, ...]
    """What the model said on the task."""

    surprise: Surprise

    prompt_replies: tuple[str, ...] = ()
    """What it said to the fixed prompts."""

    def to_json(self) -> dict[str, Any]:
        """Return plain lists."""
        surprise = {name: getattr(self.surprise, name).tolist() for name in Surprise.__slots__}
        scores = {name: values.tolist() for name, values in self.scores.items()}
        return {
            "fingerprint": self.fingerprint,
            "scores": scores,
            "ids": {name: list(ids) for name, ids in self.ids.items()},
            "replies": list(self.replies),
            "prompt_replies": list(self.prompt_replies),
            "surprise": surprise,
        }

    @staticmethod
    def from_json(plain: dict[str, Any]) -> "Measured":
        """Return what `to_json` wrote."""
        return Measured(
            fingerprint=plain["fingerprint"],
            scores={name: np.array(values) for name, values in plain["scores"].items()},
            ids={name: tuple(ids) for name, ids in plain["ids"].items()},
            replies=tuple(plain["replies"]),
            prompt_replies=tuple(plain["prompt_replies"]),
            surprise=Surprise(**{name: np.array(values) for name, values in plain["surprise"].items()}),
        )


def measure(model: Any, tokenizer: Any, config: Config, task: Task, *, fingerprint: str, on: Progress) -> Measured:
    """Return the scores of a model on the validation split and all that shows forgetting.

    Raises:
        Diverged: A score is NaN or infinite.
        EvaluationError: A metric of the user's own fails.
    """
    asked, evaluate = task.splits.validation, config.evaluate
    tokens = validation_tokens(tokenizer, task)
    written = answer(model, tokenizer, config, task, tokens, on=lambda done, total: on("answers", done, total))
    surprise = _surprise(model, tokenizer, config, tokens, on=lambda done, total: on("perplexity", done, total))
    scores = written.scores
    ids = {"task": tuple(example.id for example in asked)}
    if task.bank is not None:
        give_back_freed()
        choices = score_choices(
            model,
            tokenizer,
            task.bank,
            form=evaluate.form,
            n_shot=evaluate.n_shot,
            batch_size=evaluate.batch_size,
            on_progress=lambda done, total: on("knowledge", done, total),
        )
        scores |= {"general/right": choices.correct, "general/logprob": choices.right_logprob}
        ids |= {"general": choices.ids, "subject": choices.subjects}
    general = measure_general(model, tokenizer, config, task, on=on)
    said = ask(model, tokenizer, config, task.prompts, on=lambda done, total: on("prompts", done, total))
    return Measured(
        fingerprint=fingerprint,
        scores=scores | general.scores | said.scores,
        ids=ids | general.ids | said.ids,
        replies=written.replies,
        surprise=surprise,
        prompt_replies=said.replies,
    )


def validation_loss(model: Any, tokenizer: Any, config: Config, task: Task, *, on: Progress) -> Callable[[], float]:
    """Return what measures eval/loss of a model as it stands then, as `measure` does at the end.

    The call raises Diverged where a log-likelihood is NaN or infinite.
    """
    tokens = cache(lambda: validation_tokens(tokenizer, task))  # most trainings never ask
    return lambda: _surprise(model, tokenizer, config, tokens(), on=lambda done, total: on("eval", done, total)).loss


def validation_tokens(tokenizer: Any, task: Task) -> list[Tokens]:
    """Return the examples that are scored, in tokens."""
    # Only the last answer counts here, whatever is learned: its question's tokens are what a reply is generated from.
    return list(tokenize_all(tokenizer, task.splits.validation, Learn.last))


def _surprise(
    model: Any, tokenizer: Any, config: Config, tokens: Sequence[Tokens], *, on: Callable[[int, int], None]
) -> Surprise:
    give_back_freed()  # the logits of all tokens come on top of it
    texts = [(item.ids.tolist(), item.n_prompt) for item in tokens]
    size = config.evaluate.batch_size
    return measure_surprise(model, texts, batch_size=size, pad_id=tokenizer.pad_token_id, on_progress=on)


def compare(base: Measured, tuned: Measured, config: Config) -> dict[str, float]:
    """Return the metrics of the adapted model, of its base, and their paired deltas.

    Raises:
        EvaluationError: The two were measured differently or on different questions.
    """
    if base.fingerprint != tuned.fingerprint or base.ids != tuned.ids:
        msg = (
            f"base and adapted model were not measured alike (fingerprints {base.fingerprint[:12]} and "
            f"{tuned.fingerprint[:12]}), so no delta can be given. Measure both with the same settings."
        )
        raise EvaluationError(msg)
    metrics: dict[str, float] = {}
    for name, source in task_sources(config).items():
        delta = score_delta(base.scores[source], tuned.scores[source], confidence=config.evaluate.confidence)
        metrics |= _row(name, base.scores[source], tuned.scores[source])
        metrics |= {f"{name}_{end}": value for end, value in _ends(delta).items() if end != "delta_stderr"}
    metrics |= {"eval/loss": tuned.surprise.loss, "eval/loss_base": base.surprise.loss}
    if config.evaluate.perplexity:
        metrics |= _perplexity(base.surprise, tuned.surprise, config.evaluate.confidence)
    if "general" in base.ids:
        metrics |= _general(base, tuned, config)
    metrics |= compare_general(base.scores, tuned.scores, config)
    if "prompts" in base.ids:
        kinds = base.ids["prompt_kinds"]
        metrics |= compare_prompts(base.scores, tuned.scores, kinds, confidence=config.evaluate.confidence)
    return metrics


def _general(base: Measured, tuned: Measured, config: Config) -> dict[str, float]:
    prefix, confidence, subjects = PREFIX[config.evaluate.general], config.evaluate.confidence, base.ids["subject"]
    clusters = subjects if len(set(subjects)) > 1 else None  # a folder with one subject has no groups
    right, said = (
        score_delta(base.scores[name], tuned.scores[name], clusters=clusters, confidence=confidence)
        for name in ("general/right", "general/logprob")
    )
    return {
        **_row(f"{prefix}/acc", base.scores["general/right"], tuned.scores["general/right"]),
        **{f"{prefix}/{end}": value for end, value in _ends(right).items()},
        **_row(f"{prefix}/logprob", base.scores["general/logprob"], tuned.scores["general/logprob"]),
        **{f"{prefix}/logprob_{end}": value for end, value in _ends(said).items()},
    }


def _perplexity(base: Surprise, tuned: Surprise, confidence: float) -> dict[str, float]:
    delta = perplexity_delta(base.text, tuned.text, base.text_tokens, confidence=confidence)
    return {
        "perplexity/domain": tuned.perplexity,
        "perplexity/domain_base": base.perplexity,
        "perplexity/domain_delta": delta.mean,
        "perplexity/domain_delta_low": delta.low,
        "perplexity/domain_delta_high": delta.high,
    }


def _row(name: str, base: NDArray[np.float64], tuned: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(tuned.mean()), f"{name}_base": float(base.mean())}


def _ends(delta: Delta) -> dict[str, float]:
    return {"delta": delta.mean, "delta_low": delta.low, "delta_high": delta.high, "delta_stderr": delta.stderr}
