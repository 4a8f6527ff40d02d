"""What varies in a sweep: one class a form of dimension, and what a drawn value means for the configuration."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune.config.compose import value_at
from tune.config.schema import Config
from tune.errors import ConfigError

Value = str | int | float | bool
Point = Mapping[str, Value]
"""What a trial is run with, by key; without the keys of dimensions that do not exist there."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A key must have one of some values."""

    key: str
    values: tuple[Value | None, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """One of some values; of a config group's options where the key is a group."""

    key: str
    values: tuple[Value, ...]
    when: tuple[Condition, ...] = ()


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

    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Tied:
    """One of some multiples of another key's value."""

    key: str
    times: str
    values: tuple[float, ...]
    when: tuple[Condition, ...] = ()


Dimension = Choices | Span | Tied


def parameter(dimension: Dimension) -> str:
    """Return the name that the sampler knows a dimension by."""
    return f"{dimension.key}/{dimension.times}" if isinstance(dimension, Tied) else dimension.key


def options(config: Config) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Return what the searched options of config groups set: group → option → key → value."""
    return config.sweep.options if config.sweep else {}


def settings(config: Config, point: Point) -> dict[str, Any]:
    """Return the keys that a point sets: what its options say, and above that what it says itself."""
    groups = options(config)
    found: dict[str, Any] = {}
    for key, value in point.items():
        if key in groups:
            found.update(groups[key][str(value)])
    return found | {key: value for key, value in point.items() if key not in groups}


def value_of(key: str, point: Point, config: Config) -> Any:
    """Return a key's value at a point: the point's own, else its options', else the configured one.

    Raises:
        ConfigError: The key does not exist.
    """
    if key in point:
        return point[key]
    groups = options(config)
    if key in groups:
        return None  # a group that is searched, but not here: its options are not known by name
    for group in groups.keys() & point.keys():
        if key in (set_there := groups[group][str(point[group])]):
            return set_there[key]
    return value_at(config, key)


def alike(one: Any, other: Any) -> bool:
    """Return whether two values are the same; true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def exists(dimension: Dimension, point: Point, config: Config) -> bool:
    """Return whether a dimension exists at a point that has values for all that it depends on."""
    return all(
        any(alike(value_of(condition.key, point, config), value) for value in condition.values)
        for condition in dimension.when
    )


def as_run(dimension: Dimension, drawn: Value, point: Point, config: Config) -> Value:
    """Return the value that the key gets when the sampler draws this."""
    return _tied_value(dimension, float(drawn), point, config) if isinstance(dimension, Tied) else drawn


def steps(span: Span) -> list[Value]:
    """Return every value of a range.

    Raises:
        ConfigError: It has no end of them.
    """
    if span.step is None and not span.whole:
        msg = (
            f"sweep.space.{span.key} is a range without steps, so study.sampler=grid has no end. "
            "Give it a step or a list of choices, or take study.sampler=tpe."
        )
        raise ConfigError(msg)
    step = span.step or 1
    count = math.floor((span.high - span.low) / step + 1e-9) + 1
    return [int(span.low + i * step) if span.whole else span.low + i * step for i in range(count)]


def values(dimension: Dimension) -> list[Value]:
    """Return every value that may be drawn.

    Raises:
        ConfigError: There is no end of them.
    """
    return steps(dimension) if isinstance(dimension, Span) else list(dimension.values)


def corners(dimension: Dimension) -> list[Value]:
    """Return every choice; or both ends of a range and what lies a step from its low one.

    What takes whole numbers alone may take both ends of a range in halves.
    """
    if isinstance(dimension, Span):
        ends = [dimension.low, dimension.high]
        if dimension.step is not None:
            ends.insert(1, min(dimension.low + dimension.step, dimension.high))
        return list(dict.fromkeys(int(end) if dimension.whole else end for end in ends))
    return list(dimension.values)


def _tied_value(dimension: Tied, factor: float, point: Point, config: Config) -> Value:
    try:
        base = value_of(dimension.times, point, config)
    except ConfigError as error:
        msg = f"sweep.space.{dimension.key} is tied to {dimension.times}: {error}"
        raise ConfigError(msg) from error
    if isinstance(base, bool) or not isinstance(base, int | float):
        msg = (
            f"sweep.space.{dimension.key} is tied to {dimension.times}={base}, which is no number. Tie it to a number."
        )
        raise ConfigError(msg)
    value = base * factor
    return max(1, round(value)) if isinstance(base, int) else value
