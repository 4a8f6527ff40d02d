"""Scores of a model's replies on the task, one number an example and metric."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tune.config.metric import OF_ROUGE, Metric
from tune.evaluate import overlap, sql, structured, together
from tune.evaluate.code import score_code
from tune.evaluate.labels import NONE, Labels
from tune.evaluate.normal import normalised
from tune.evaluate.scoring import Scoring
from tune.examples import Example

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")

NO_LABEL = "no_label"
"""Rate of replies that no label can be read out of."""

Score = Callable[[Sequence[Example], Sequence[str], Scoring], NDArray[np.float64]]
"""Examples, replies and what they are held against → (N,) scores."""


def score_replies(
    examples: Sequence[Example], replies: Sequence[str], metric: Metric, scoring: Scoring | None = None
) -> NDArray[np.float64]:
    """Return (N,) the score of each reply, 0 to 1; of bleu and macro_f1 numbers whose mean is the score of all.

    Args:
        examples: What was asked.
        replies: What the model said to each.
        metric: How an answer is scored.
        scoring: What replies are held against; without it the defaults of data.scoring.

    Raises:
        DataError: A right answer is no label, or a program has no tests.
        EvaluationError: A right query does not run, or this machine cannot shut programs in.
    """
    return _SCORES[metric](examples, replies, scoring or Scoring())


def without_label(replies: Sequence[str], labels: Labels) -> NDArray[np.float64]:
    """Return (N,) 1 for each reply that no label can be read out of."""
    return np.array([float(labels.said(reply) == NONE) for reply in replies])


def last_number(reply: str) -> str | None:
    """Return the number after the last #### on its line, else the last one, without commas and trailing zeros.

    None if there is none.

    Source: Cobbe et al. 2021, https://arxiv.org/abs/2110.14168: the answer stands after ####.
    """
    _, marked, after = reply.rpartition("####")
    given = _NUMBER.findall(after.partition("\n")[0]) if marked else []
    found = given[:1] or _NUMBER.findall(reply)
    if not found:
        return None
    plain = str(found[-1]).replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _execution(example: Example, reply: str, _: Scoring) -> bool:
    extra = example.extra
    setup, ordered = str(extra["setup"]), bool(extra["ordered"])
    return sql.score_sql(sql.clean_sql(reply), setup=setup, gold=example.answer, ordered=ordered).match


def _exact_match(example: Example, reply: str, scoring: Scoring) -> bool:
    if "setup" in example.extra:
        return sql.exact_match(sql.clean_sql(reply), example.answer)
    rules = scoring.settings.normalise
    return normalised(reply, rules) == normalised(example.answer, rules)


def _numeric(example: Example, reply: str, _: Scoring) -> bool:
    right = last_number(str(example.extra.get("number", example.answer)))
    return right is not None and last_number(reply) == right


def _accuracy(example: Example, reply: str, scoring: Scoring) -> bool:
    assert scoring.labels is not None
    return scoring.labels.said(reply) == scoring.labels.right(example.answer)


def _regex(_: Example, reply: str, scoring: Scoring) -> bool:
    match = scoring.pattern.fullmatch if scoring.settings.regex_whole else scoring.pattern.search
    return match(reply) is not None


def _macro_f1(examples: Sequence[Example], replies: Sequence[str], scoring: Scoring) -> NDArray[np.float64]:
    assert scoring.labels is not None
    right = np.array([scoring.labels.right(example.answer) for example in examples])
    return together.macro_f1(right, np.array([scoring.labels.said(reply) for reply in replies]))


def _code(examples: Sequence[Example], replies: Sequence[str], scoring: Scoring) -> NDArray[np.float64]:
    return np.array([float(score.right) for score in score_code(examples, replies, scoring.code)])


def _each(score: Callable[[Example, str, Scoring], float]) -> Score:
    """Return the scores of a rule that looks at one reply."""
    return lambda examples, replies, scoring: np.array(
        [float(score(example, reply, scoring)) for example, reply in zip(examples, replies, strict=True)]
    )


def _texts(score: Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]) -> Score:
    """Return the scores of a rule that looks at right answers and replies alone."""
    return lambda examples, replies, _: score([example.answer for example in examples], replies)


_SCORES: Mapping[Metric, Score] = {
    Metric.execution: _each(_execution),
    Metric.exact_match: _each(_exact_match),
    Metric.numeric: _each(_numeric),
    Metric.token_f1: _each(lambda example, reply, _: overlap.token_f1(example.answer, reply)),
    **{kind: _texts(partial(overlap.rouge, kind=kind)) for kind in OF_ROUGE},
    Metric.bleu: _texts(together.corpus_bleu),
    Metric.sentence_bleu: _texts(overlap.sentence_bleu),
    Metric.chrf: _texts(overlap.chrf),
    Metric.accuracy: _each(_accuracy),
    Metric.macro_f1: _macro_f1,
    Metric.json_valid: _each(lambda _, reply, __: structured.is_json(reply)),
    Metric.json_schema: _each(lambda _, reply, scoring: structured.fits(reply, scoring.validator)),
    Metric.regex: _each(_regex),
    Metric.code: _code,
}
