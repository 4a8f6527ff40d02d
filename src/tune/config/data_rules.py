"""Combinations of data settings that cannot work. Ranges stand in tune.config.rules."""

from collections.abc import Iterator

from tune.config.data import Balance, DataConfig, DataFormat, Layout
from tune.config.metric import Metric

_OF_FILES = ("layout", "columns", "validation", "test")
"""Settings that have no effect on generated rows."""

_WITH_TESTS = (DataFormat.files, DataFormat.hub)
_LAYOUTS_WITH_TESTS = (Layout.auto, Layout.humaneval, Layout.mbpp)


def impossible_data(data: DataConfig, *, searched: frozenset[str]) -> Iterator[str]:
    """Yield a sentence for every combination that cannot work.

    Args:
        data: The settings.
        searched: Keys that the sweep sets to other values.
    """
    if not data.metrics:
        yield f"data.metrics=[] is not allowed: name one or more of {', '.join(Metric)}; the first is task/score."
    if len(set(data.metrics)) < len(data.metrics):
        yield "data.metrics names a metric twice: name each once."
    if Metric.execution in data.metrics and data.format is not DataFormat.text_to_sql:
        yield (
            f"data.metrics has execution, which needs the tables of data=text_to_sql, but data.format={data.format}: "
            "use exact_match, numeric or another metric that reads text."
        )
    if Metric.code in data.metrics and (data.format not in _WITH_TESTS or data.layout not in _LAYOUTS_WITH_TESTS):
        yield (
            f"data.metrics has code, which needs rows with tests, but data.format={data.format} and "
            f"data.layout={data.layout} have none: use data=jsonl or data=hub with data.layout=humaneval, mbpp or "
            "auto, or another metric."
        )
    yield from _rows(data)
    yield from _training(data, searched)


def _rows(data: DataConfig) -> Iterator[str]:
    columns, clean = data.columns, data.clean
    if data.format is not DataFormat.text_to_sql and not data.path:
        what = "the id of a data set" if data.format is DataFormat.hub else "the file or folder of its rows"
        option = "jsonl" if data.format is DataFormat.files else data.format
        yield f"data={option} needs data.path=…, {what}."
    if data.layout is Layout.columns and not (columns.question and columns.answer):
        yield "data.layout=columns needs data.columns.question and data.columns.answer, the names of two columns."
    if bool(columns.question) != bool(columns.answer):
        missing = "answer" if columns.question else "question"
        yield f"data.columns.{missing} is not set: name both data.columns.question and data.columns.answer, or neither."
    if clean.min_words and clean.max_words and clean.min_words > clean.max_words:
        yield (
            f"data.clean.min_words={clean.min_words} is above data.clean.max_words={clean.max_words}: no row can stay."
        )
    if data.format is DataFormat.text_to_sql:
        unused = [*_OF_FILES, *([] if data.mix.path else ["clean"])]
        given = ", ".join(f"data.{name}" for name in unused if getattr(data, name) != getattr(DataConfig(), name))
        if given:
            yield f"{given} set what is done with rows of files; data=text_to_sql is generated: leave it out."


def _training(data: DataConfig, searched: frozenset[str]) -> Iterator[str]:
    balance, mix = data.balance, data.mix
    if balance.how is Balance.cap and balance.cap is None:
        yield "data.balance.how=cap needs data.balance.cap, the most training rows of a class."
    if balance.how is not Balance.cap and balance.cap is not None:
        yield f"data.balance.cap={balance.cap} has no effect with data.balance.how={balance.how}: set that to cap."
    if balance.column and balance.how is Balance.none:
        yield f"data.balance.column={balance.column} has no effect with data.balance.how=none: add cap or resample."
    if (mix.share or "data.mix.share" in searched) and not mix.path:
        yield "data.mix.share needs data.mix.path, the file or folder of the general rows."
    if data.format is DataFormat.text_to_sql and balance.how is not Balance.none:
        yield f"data.balance.how={balance.how} needs classes; the rows of data=text_to_sql have none. Leave it out."
