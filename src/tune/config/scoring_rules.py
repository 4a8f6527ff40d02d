"""Combinations of metrics and of what they need that cannot work. Ranges stand in tune.config.rules."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from tune.config.data import DataConfig
from tune.config.evaluation import EvaluateConfig
from tune.config.metric import OF_LABELS, Metric
from tune.config.sampling import SamplingConfig
from tune.config.scoring import LabelFrom, ScoringConfig

_LEAST = 2
"""Labels to choose among."""


def impossible_scoring(data: DataConfig, evaluate: EvaluateConfig, *, searched: frozenset[str]) -> Iterator[str]:
    """Yield a sentence for every combination that cannot work.

    Args:
        data: With the metrics.
        evaluate: With the user's own metric and how replies are drawn.
        searched: Keys that the sweep sets to other values.
    """
    yield from _labels(data.scoring, data.metrics)
    yield from _patterns(data.scoring, data.metrics)
    yield from _stops(data.stop)
    yield from _sampling(evaluate.sampling, searched)
    yield from _own(evaluate.metric, searched)
    if len(set(data.scoring.normalise)) < len(data.scoring.normalise):
        yield "data.scoring.normalise names a rule twice: name each once; their order has no effect."


def own_name(metric: str) -> tuple[str, str]:
    """Return file and function of FILE.py:FUNCTION."""
    file, _, function = metric.rpartition(":")
    return file, function


def _labels(scoring: ScoringConfig, metrics: Sequence[Metric]) -> Iterator[str]:
    labels = scoring.labels
    used = [metric for metric in OF_LABELS if metric in metrics]
    if not used and (labels is not None or scoring.label_from is not LabelFrom.only):
        yield (
            "data.scoring.labels and data.scoring.label_from have no effect without a metric of labels: add accuracy "
            "or macro_f1 to data.metrics, or leave them out."
        )
    if labels is None:
        return
    if len(labels) < _LEAST or len(set(labels)) < len(labels) or not all(label.strip() for label in labels):
        yield (
            f"data.scoring.labels={labels} is not allowed: name two or more different labels, none of them empty; or "
            "leave it out to take the different answers of the data."
        )


def _patterns(scoring: ScoringConfig, metrics: Sequence[Metric]) -> Iterator[str]:
    for metric, value, what in (
        (Metric.json_schema, scoring.json_schema, "a file that holds a JSON schema"),
        (Metric.regex, scoring.regex, "a regular expression"),
    ):
        if metric in metrics and not value:
            yield f"data.metrics has {metric}, which needs data.scoring.{metric}=…, {what}."
        if metric not in metrics and value is not None:
            yield (
                f"data.scoring.{metric}={value} has no effect without the metric: add {metric} to data.metrics, or "
                "leave it out."
            )
    if scoring.regex_whole and scoring.regex is None:
        yield "data.scoring.regex_whole=true has no effect without data.scoring.regex: set that, or leave it out."
    if scoring.regex is not None:
        try:
            re.compile(scoring.regex)
        except (re.error, OverflowError, RecursionError) as error:
            yield f"data.scoring.regex={scoring.regex} is no regular expression of Python: {error}. Mend it."


def _stops(stop: Sequence[str]) -> Iterator[str]:
    if len(set(stop)) < len(stop) or not all(stop):
        yield f"data.stop={list(stop)} is not allowed: the texts must be different and none of them empty."


def _sampling(sampling: SamplingConfig, searched: frozenset[str]) -> Iterator[str]:
    if sampling.temperature or "evaluate.sampling.temperature" in searched:
        return
    for name in ("top_p", "seed"):
        value, usual = getattr(sampling, name), getattr(SamplingConfig(), name)
        if value != usual:
            yield (
                f"evaluate.sampling.{name}={value} has no effect with evaluate.sampling.temperature=0, which takes the "
                "likeliest token: set a temperature above 0, or leave it out."
            )


def _own(metric: str | None, searched: frozenset[str]) -> Iterator[str]:
    if "evaluate.metric" in searched:
        yield (
            "sweep.space has evaluate.metric, which runs code and says what is measured: it is nothing to search. "
            "Take it out, and name it on the command line."
        )
    if metric is None:
        return
    file, function = own_name(metric)
    if PurePath(file).suffix != ".py" or not function.isidentifier():
        yield f"evaluate.metric={metric} is not allowed: write FILE.py:FUNCTION, as in scores.py:politeness."
    elif function in {"score", *Metric}:
        yield (
            f"evaluate.metric={metric} is not allowed: task/{function} is a metric of tune's own. Give the function "
            "another name."
        )
