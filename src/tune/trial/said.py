"""What base and adapted model said to the same question, read back from a trial's folder."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from tune.errors import EvaluationError
from tune.evaluate.conduct import is_empty
from tune.evaluate.loops import is_loop
from tune.evaluate.refusals import is_refusal
from tune.files import read_json
from tune.trial.outcome import FINAL, SCORES

TASK = "task"
"""Kind of the examples that the model was trained for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What one of the two said."""

    text: str

    scores: Mapping[str, float | None]
    """By metric of the task; none for a prompt, which has no right answer."""

    @property
    def flags(self) -> tuple[str, ...]:
        """Return what can be told of the text alone: refused, empty, loop."""
        rules = {"refused": is_refusal, "empty": is_empty, "loop": is_loop}
        return tuple(flag for flag, rule in rules.items() if rule(self.text))


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A question and both replies to it."""

    kind: str
    """Of the prompt; `task` for an example."""

    id: str
    asked: str
    wanted: str | None
    """The right answer; a prompt has none."""

    base: Reply
    adapted: Reply

    @property
    def distance(self) -> float:
        """Return how far apart the texts are, 0 for the same to 1: changed characters over those of the longer one."""
        return float(Levenshtein.normalized_distance(self.base.text, self.adapted.text))

    @property
    def order(self) -> tuple[float, ...]:
        """Return what sorts the most changed first: another flag, then another score, then another text."""
        n_flags = len(set(self.base.flags) ^ set(self.adapted.flags))
        gains = [abs(after - before) for _, before, after in self.moved()]
        return -n_flags, -max(gains, default=0.0), -self.distance

    def moved(self) -> Iterator[tuple[str, float, float]]:
        """Yield (metric, before, after) of the scores that both have."""
        for metric, before in self.base.scores.items():
            after = self.adapted.scores.get(metric)
            if before is not None and after is not None and not math.isnan(before + after):
                yield metric, before, after


@dataclass(frozen=True, kw_only=True, slots=True)
class Replies:
    """All that a trial's two sides said."""

    split: str
    """Where the examples of the task come from: validation, or test for a finalist."""

    pairs: tuple[Pair, ...]
    """Prompts first; within prompts and task the most changed first."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data, for other programs."""

        def side(reply: Reply) -> dict[str, Any]:
            return {"text": reply.text, "flags": list(reply.flags), "scores": dict(reply.scores)}

        pairs = [
            {"kind": p.kind, "id": p.id, "asked": p.asked, "wanted": p.wanted, "distance": p.distance}
            | {"base": side(p.base), "adapted": side(p.adapted)}
            for p in self.pairs
        ]
        return {"split": self.split, "replies": pairs}


def read_replies(folder: Path) -> Replies:
    """Return what both sides of a trial said; a finalist's examples are those of the test split.

    Raises:
        EvaluationError: The file is not there, or does not hold the questions.
    """
    searched = _sides(folder / SCORES)
    final = _sides(folder / FINAL) if (folder / FINAL).is_file() else searched
    said = final if final.get("prompts") else searched
    prompts, examples = list(_prompt_pairs(said)), list(_task_pairs(final))
    ordered = (*sorted(prompts, key=lambda pair: pair.order), *sorted(examples, key=lambda pair: pair.order))
    return Replies(split=str(final["split"]), pairs=ordered)


def _sides(file: Path) -> dict[str, Any]:
    """Return a file's content, with base and adapted as scores.json has them."""
    content = read_json(file)
    if content is None:
        msg = (
            f"{file} is not there or cannot be read: it holds what the models said, on the machine that the trial ran "
            "on. Give the command there, or name another trial."
        )
        raise EvaluationError(msg)
    sides = content.get("scores", content)
    if not isinstance(sides, dict) or "examples" not in content:
        msg = f"{file} does not hold the questions: an earlier version wrote it. Run the trial again."
        raise EvaluationError(msg)
    return content | {"base": sides["base"], "adapted": sides.get("adapted", sides.get("adapter"))}


def _prompt_pairs(content: Mapping[str, Any]) -> Iterator[Pair]:
    sides = (content["base"]["prompt_replies"], content["adapted"]["prompt_replies"])
    for prompt, before, after in zip(content.get("prompts", []), *sides, strict=True):
        yield Pair(
            kind=prompt["kind"],
            id=prompt["id"],
            asked=prompt["prompt"],
            wanted=None,
            base=Reply(text=before, scores={}),
            adapted=Reply(text=after, scores={}),
        )


def _task_pairs(content: Mapping[str, Any]) -> Iterator[Pair]:
    base, adapted = content["base"], content["adapted"]

    def reply(side: Mapping[str, Any], at: int) -> Reply:
        # Those of the task have a metric's bare name; all others stand behind a slash.
        scores = {name: values[at] for name, values in side["scores"].items() if "/" not in name}
        return Reply(text=side["replies"][at], scores=scores)

    for at, example in enumerate(content["examples"]):
        yield Pair(
            kind=TASK,
            id=example["id"],
            asked=example["question"],
            wanted=example["answer"],
            base=reply(base, at),
            adapted=reply(adapted, at),
        )
