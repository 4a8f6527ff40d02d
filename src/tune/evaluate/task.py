"""Scores of a model's replies on the task, one number an example and metric."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tune.config.code import CodeConfig
from tune.config.data import Metric
from tune.evaluate import sql
from tune.evaluate.code import score_code
from tune.examples import Example

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def score_replies(
    examples: Sequence[Example], replies: Sequence[str], metric: Metric, *, code: CodeConfig | None = None
) -> NDArray[np.float64]:
    """Return (N,) the score of each reply, 0 or 1.

    Args:
        examples: What was asked.
        replies: What the model said to each.
        metric: How an answer is scored.
        code: Limits of the programs that the metric code runs; without it the usual ones.
    """
    if metric is Metric.code:
        return np.array([float(score.right) for score in score_code(examples, replies, code or CodeConfig())])
    score = {Metric.execution: _execution, Metric.exact_match: _exact_match, Metric.numeric: _numeric}[metric]
    return np.array([float(score(e, reply)) for e, reply in zip(examples, replies, strict=True)])


def last_number(reply: str) -> str | None:
    """Return the number after ####, else the last number, without commas and trailing zeros; None if there is none.

    Source: Cobbe et al. 2021, https://arxiv.org/abs/2110.14168: the answer stands after ####.
    """
    found = _NUMBER.findall(reply.rsplit("####", 1)[-1]) or _NUMBER.findall(reply)
    if not found:
        return None
    number = found[0] if "####" in reply else found[-1]
    plain = str(number).replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _execution(example: Example, reply: str) -> bool:
    extra = example.extra
    setup, ordered = str(extra["setup"]), bool(extra["ordered"])
    return sql.score_sql(sql.clean_sql(reply), setup=setup, gold=example.answer, ordered=ordered).match


def _exact_match(example: Example, reply: str) -> bool:
    if "setup" in example.extra:
        return sql.exact_match(sql.clean_sql(reply), example.answer)
    return _folded(reply) == _folded(example.answer)


def _numeric(example: Example, reply: str) -> bool:
    right = last_number(str(example.extra.get("number", example.answer)))
    return right is not None and last_number(reply) == right


def _folded(text: str) -> str:
    """Return the text in lower case with single spaces and without a full stop at its end."""
    return " ".join(text.casefold().split()).removesuffix(".")
