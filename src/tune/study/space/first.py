"""Points that a person wants to see first."""

from collections.abc import Mapping, Sequence
from typing import Any

from tune.config.schema import Config
from tune.errors import ConfigError, nearest
from tune.study.space.dimension import (
    Dimension,
    Span,
    Tied,
    Value,
    alike,
    as_run,
    exists,
    parameter,
    steps,
    value_of,
)
from tune.study.space.order import parents

_TOLERANCE = 1e-9


def read_first(order: Sequence[Dimension], config: Config) -> tuple[Mapping[str, Value], ...]:
    """Return the sweep's first points, as the sampler's parameters; what one leaves out is drawn.

    Raises:
        ConfigError: One does not lie in the space.
    """
    assert config.sweep is not None
    points: list[Mapping[str, Value]] = []
    for at, given in enumerate(config.sweep.first):
        point = _one(f"sweep.first[{at}]", given, order, config)
        if not point or point in points:
            wrong = f"is sweep.first[{points.index(point)}] again" if point else "names no key of sweep.space"
            msg = f"sweep.first[{at}]={dict(given)} {wrong}, so there is nothing to try. Take it out."
            raise ConfigError(msg)
        points.append(point)
    return tuple(points)


def _one(where: str, given: Mapping[str, Any], order: Sequence[Dimension], config: Config) -> Mapping[str, Value]:
    point: dict[str, Value] = {}
    parameters: dict[str, Value] = {}
    for dimension in order:
        if dimension.key in given:
            _check_exists(where, dimension, point, order, config)
            drawn = _drawn(where, dimension, given[dimension.key], point, config)
            parameters[parameter(dimension)] = drawn
            point[dimension.key] = as_run(dimension, drawn, point, config)
    searched = [dimension.key for dimension in order]
    for key in given.keys() - point.keys():
        known = value_of(key, point, config) if "." in key or key == "seed" else None
        if known is None or not alike(known, given[key]):
            msg = f"{where} has {key}={given[key]}, and sweep.space has no {key}. {nearest(key, searched)}"
            raise ConfigError(msg)
    return parameters


def _check_exists(
    where: str, dimension: Dimension, point: Mapping[str, Value], order: Sequence[Dimension], config: Config
) -> None:
    for parent in parents(dimension, order, config):
        if parent.key not in point:
            msg = f"{where} has {dimension.key}, which depends on {parent.key}: name that too."
            raise ConfigError(msg)
    if not exists(dimension, point, config):
        conditions = " and ".join(f"{c.key} in {list(c.values)}" for c in dimension.when)
        msg = f"{where} has {dimension.key}, which exists only where {conditions}. Take it out, or name such a point."
        raise ConfigError(msg)


def _drawn(where: str, dimension: Dimension, value: Any, point: Mapping[str, Value], config: Config) -> Value:
    """Return what the sampler would have to draw for this value."""
    if isinstance(dimension, Span):
        if isinstance(value, int | float) and not isinstance(value, bool) and _lies_in(dimension, value):
            return _of_range(dimension, value)
        allowed = f"from {dimension.low:g} to {dimension.high:g}"
        allowed += f" in steps of {dimension.step:g}" if dimension.step else " in whole numbers" * dimension.whole
    else:
        there = {drawn: as_run(dimension, drawn, point, config) for drawn in dimension.values}
        for drawn, means in there.items():
            if alike(means, value):
                return drawn
        allowed = "one of " + ", ".join(map(str, there.values()))
        allowed += f" ({dimension.times} times a factor)" if isinstance(dimension, Tied) else ""
    msg = f"{where} has {dimension.key}={value}, which does not lie in sweep.space: there it is {allowed}."
    raise ConfigError(msg)


def _of_range(span: Span, value: float) -> Value:
    """Return a value of the range as a grid has it: three steps of 0.05 are not 0.15 to the last bit."""
    if span.step is None:
        return int(value) if span.whole else float(value)
    return steps(span)[round((value - span.low) / span.step)]


def _lies_in(span: Span, value: float) -> bool:
    if not span.low <= value <= span.high:
        return False
    step = span.step or (1 if span.whole else None)
    steps = 0.0 if step is None else (value - span.low) / step
    return abs(steps - round(steps)) < _TOLERANCE
