"""The search space of a sweep: which keys vary, and over what."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune.config import rules
from tune.config.compose import with_values
from tune.config.schema import Config
from tune.errors import ConfigError

Value = str | int | float | bool
_FORMS = "a list of choices, {low, high, log, step}, or {times: KEY, choices: [...]}"


@dataclass(frozen=True, slots=True)
class Choices:
    """One of some values."""

    key: str
    values: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A number between two others, both included."""

    key: str
    low: float
    high: float
    log: bool
    step: float | None
    whole: bool
    """Whether only whole numbers are drawn."""


@dataclass(frozen=True, slots=True)
class Tied:
    """One of some multiples of another key's value."""

    key: str
    times: str
    values: tuple[float, ...]


Dimension = Choices | Span | Tied


def parse_space(config: Config) -> tuple[Dimension, ...]:
    """Return the dimensions of the sweep, each tried out on the configuration.

    Raises:
        ConfigError: A key does not exist, a range is upside down, a choice is missing or not allowed.
    """
    assert config.sweep is not None
    if not config.sweep.space:
        msg = f"sweep.space of {config.sweep.name} is empty: name at least one key with {_FORMS}."
        raise ConfigError(msg)
    dimensions = tuple(_dimension(key, given) for key, given in config.sweep.space.items())
    _check_ties(dimensions)
    for point in _corners(dimensions, config):
        rules.check(with_values(config, point))
    return dimensions


def suggest(dimensions: Sequence[Dimension], trial: Any, config: Config) -> dict[str, Value]:
    """Return the values that the trial is to be run with, by key.

    Args:
        dimensions: What varies.
        trial: An Optuna trial.
        config: Gives the value of a tied key that does not vary itself.
    """
    point: dict[str, Value] = {}
    for dimension in _untied_first(dimensions):
        if isinstance(dimension, Choices):
            point[dimension.key] = trial.suggest_categorical(dimension.key, dimension.values)
        elif isinstance(dimension, Tied):
            factor = trial.suggest_categorical(parameter(dimension), dimension.values)
            point[dimension.key] = _tied_value(dimension, factor, point, config)
        elif dimension.whole:
            step = int(dimension.step or 1)
            point[dimension.key] = trial.suggest_int(
                dimension.key, int(dimension.low), int(dimension.high), log=dimension.log, step=step
            )
        else:
            point[dimension.key] = trial.suggest_float(
                dimension.key, dimension.low, dimension.high, log=dimension.log, step=dimension.step
            )
    return point


def parameter(dimension: Dimension) -> str:
    """Return the name that the sampler knows a dimension by."""
    return f"{dimension.key}/{dimension.times}" if isinstance(dimension, Tied) else dimension.key


def grid(dimensions: Sequence[Dimension]) -> list[dict[str, Value]]:
    """Return every combination, as the sampler's parameters, the last dimension varying fastest.

    Raises:
        ConfigError: A dimension is a range without steps and has no end of values.
    """
    axes = []
    for dimension in dimensions:
        if isinstance(dimension, Span):
            axes.append([(parameter(dimension), value) for value in _steps(dimension)])
        else:
            axes.append([(parameter(dimension), value) for value in dimension.values])
    return [dict(cell) for cell in itertools.product(*axes)]


def _dimension(key: str, given: Any) -> Dimension:
    where = f"sweep.space.{key}"
    if isinstance(given, list):
        return Choices(key, _values(where, given))
    if not isinstance(given, dict):
        msg = f"{where}={given} is not a space: give {_FORMS}."
        raise ConfigError(msg)
    if set(given) == {"times", "choices"} and isinstance(given["choices"], list):
        factors = _values(where, given["choices"])
        if not all(isinstance(factor, int | float) and factor > 0 for factor in factors):
            msg = f"{where}.choices={list(factors)} is not allowed: each factor must be a number above 0."
            raise ConfigError(msg)
        return Tied(key, str(given["times"]), tuple(float(factor) for factor in factors))
    return _span(key, where, given)


def _span(key: str, where: str, given: Mapping[str, Any]) -> Span:
    unknown = set(given) - {"low", "high", "log", "step"}
    if unknown or not {"low", "high"} <= set(given):
        msg = f"{where} has the keys {', '.join(map(str, given))}: give {_FORMS}."
        raise ConfigError(msg)
    low, high, log, step = given["low"], given["high"], bool(given.get("log", False)), given.get("step")
    numbers = [low, high] + ([] if step is None else [step])
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        msg = f"{where}: low={low}, high={high}, step={step} must be numbers. Write 0.0001 or 1.0e-4, not text."
        raise ConfigError(msg)
    if low > high or (log and low <= 0) or (step is not None and (step <= 0 or log)):
        msg = (
            f"{where}: low={low}, high={high}, log={log}, step={step} is not allowed: low must not be above high, "
            "a log range starts above 0, and a step is above 0 and not with log."
        )
        raise ConfigError(msg)
    whole = isinstance(low, int) and isinstance(high, int) and (step is None or isinstance(step, int))
    return Span(key=key, low=low, high=high, log=log, step=step, whole=whole)


def _values(where: str, given: list[Any]) -> tuple[Any, ...]:
    if not given:
        msg = f"{where} has no choices: name at least one value, or take the key out of the space."
        raise ConfigError(msg)
    if not all(isinstance(value, str | int | float | bool) for value in given) or len(set(map(repr, given))) < len(
        given
    ):
        msg = f"{where}={given} is not allowed: choices are different texts, numbers or true and false."
        raise ConfigError(msg)
    return tuple(given)


def _check_ties(dimensions: Sequence[Dimension]) -> None:
    tied = {dimension.key for dimension in dimensions if isinstance(dimension, Tied)}
    for dimension in dimensions:
        if isinstance(dimension, Tied) and dimension.times in tied:
            msg = (
                f"sweep.space.{dimension.key} is tied to {dimension.times}, which is tied itself. Tie it to a free key."
            )
            raise ConfigError(msg)


def _corners(dimensions: Sequence[Dimension], config: Config) -> list[dict[str, Value]]:
    """Return points that together show every choice, and both ends of every range."""
    points: list[dict[str, Value]] = []
    for dimension in dimensions:
        if isinstance(dimension, Choices):
            points += [{dimension.key: value} for value in dimension.values]
        elif isinstance(dimension, Span):
            ends = (dimension.low, dimension.high)
            points += [{dimension.key: int(end) if dimension.whole else end} for end in ends]
        else:
            known = next((d for d in dimensions if d.key == dimension.times), None)
            others = (
                known.values
                if isinstance(known, Choices)
                else (known.low, known.high)
                if isinstance(known, Span)
                else (None,)
            )
            for other in others:
                point: dict[str, Value] = {} if other is None else {dimension.times: other}
                points += [{**point, dimension.key: _tied_value(dimension, f, point, config)} for f in dimension.values]
    return points


def _tied_value(dimension: Tied, factor: float, point: Mapping[str, Value], config: Config) -> Value:
    base: Any = point.get(dimension.times)
    if base is None:
        base = _configured(config, dimension)
    if isinstance(base, bool) or not isinstance(base, int | float):
        msg = (
            f"sweep.space.{dimension.key} is tied to {dimension.times}={base}, which is no number. Tie it to a number."
        )
        raise ConfigError(msg)
    value = base * factor
    return max(1, round(value)) if isinstance(base, int) else value


def _configured(config: Config, dimension: Tied) -> Any:
    value: Any = config
    for part in dimension.times.split("."):
        if not hasattr(value, part):
            msg = f"sweep.space.{dimension.key} is tied to {dimension.times}, which does not exist. Name a key."
            raise ConfigError(msg)
        value = getattr(value, part)
    return value


def _steps(span: Span) -> list[Value]:
    if span.step is None and not span.whole:
        msg = (
            f"sweep.space.{span.key} is a range without steps, so study.sampler=grid has no end. "
            "Give it a step or a list of choices, or take study.sampler=tpe."
        )
        raise ConfigError(msg)
    step = span.step or 1
    count = math.floor((span.high - span.low) / step + 1e-9) + 1
    return [int(span.low + i * step) if span.whole else span.low + i * step for i in range(count)]


def _untied_first(dimensions: Sequence[Dimension]) -> list[Dimension]:
    return sorted(dimensions, key=lambda dimension: isinstance(dimension, Tied))
