"""What a sweep's file says about its dimensions, read and looked through."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tune.config.compose import value_at, with_values
from tune.config.schema import Config
from tune.errors import ConfigError, nearest
from tune.study.space.dimension import Choices, Condition, Dimension, Span, Tied, options, value_of

_FORMS = (
    "a list of choices, {low, high, log, step}, {times: KEY, choices: [...]}, or {choices: [...]}; "
    "each of the last three with `when: {KEY: [values]}` where it exists only for some values of another key"
)


_TOLERANCE = 1e-9
"""In steps; 0.1 in three steps is not 0.3 to the last bit."""


def read_dimensions(config: Config) -> tuple[Dimension, ...]:
    """Return the dimensions of the sweep, in its own order.

    Raises:
        ConfigError: A form that there is not, a range that is upside down, a choice that is missing.
    """
    assert config.sweep is not None
    if not config.sweep.space:
        msg = f"sweep.space of {config.sweep.name} is empty: name at least one key with {_FORMS}."
        raise ConfigError(msg)
    dimensions = tuple(_dimension(key, given) for key, given in config.sweep.space.items())
    _check_ties(dimensions)
    return dimensions


def check_conditions(dimensions: Sequence[Dimension], config: Config) -> None:
    """Refuse conditions on values that their key never has.

    Raises:
        ConfigError: A key does not exist or cannot have the value, here or at all.
    """
    for dimension in dimensions:
        for condition in dimension.when:
            _check_condition(dimension.key, condition, dimensions, config)


def _check_condition(key: str, condition: Condition, dimensions: Sequence[Dimension], config: Config) -> None:
    where = f"sweep.space.{key}.when.{condition.key}"
    own = next((d for d in dimensions if d.key == condition.key), None)
    groups = options(config)
    if own is None and condition.key not in groups:
        try:
            configured = value_at(config, condition.key)
            for value in condition.values:
                with_values(config, {condition.key: value})
        except ConfigError as error:
            msg = f"{where}: {error}"
            raise ConfigError(msg) from error
    else:
        configured = value_of(condition.key, {}, config)
    setters = [option for group in groups.values() for option in group.values() if condition.key in option]
    if isinstance(own, Span | Tied) or (own is None and not setters):
        return  # any number of the range; or the configuration decides
    there = [*(own.values if own else ()), *(option[condition.key] for option in setters), configured]
    for value in condition.values:
        if value not in there:
            shown = nearest(str(value), {str(each) for each in there if each is not None})
            msg = f"{where} lists {value}, a value that {condition.key} never has in this sweep. {shown}"
            raise ConfigError(msg)


def _dimension(key: str, given: Any) -> Dimension:
    where = f"sweep.space.{key}"
    if isinstance(given, list):
        return Choices(key, _values(where, given))
    if not isinstance(given, dict):
        msg = f"{where}={given} is not a space: give {_FORMS}."
        raise ConfigError(msg)
    form = {name: content for name, content in given.items() if name != "when"}
    when = _conditions(f"{where}.when", given["when"]) if "when" in given else ()
    if set(form) == {"choices"} and isinstance(form["choices"], list):
        return Choices(key, _values(f"{where}.choices", form["choices"]), when)
    if set(form) == {"times", "choices"} and isinstance(form["choices"], list):
        factors = _values(where, form["choices"])
        if not all(isinstance(factor, int | float) and factor > 0 for factor in factors):
            msg = f"{where}.choices={list(factors)} is not allowed: each factor must be a number above 0."
            raise ConfigError(msg)
        return Tied(key, str(form["times"]), tuple(float(factor) for factor in factors), when)
    return _span(key, form, when)


def _conditions(where: str, given: Any) -> tuple[Condition, ...]:
    if not isinstance(given, dict) or not given:
        msg = f"{where}={given} is no condition: give {{KEY: [values]}}, for example {{quantization.kind: [nf4]}}."
        raise ConfigError(msg)
    found = []
    for key, content in given.items():
        values = content if isinstance(content, list) else [content]
        if not values or not all(value is None or isinstance(value, str | int | float | bool) for value in values):
            msg = f"{where}.{key}={content} is no condition: list the values of {key} that it is for."
            raise ConfigError(msg)
        found.append(Condition(str(key), tuple(values)))
    return tuple(found)


def _span(key: str, given: Mapping[str, Any], when: tuple[Condition, ...]) -> Span:
    where = f"sweep.space.{key}"
    unknown = set(given) - {"low", "high", "log", "step"}
    if unknown or not {"low", "high"} <= set(given):
        msg = f"{where} has the keys {', '.join(map(str, given))}: give {_FORMS}."
        raise ConfigError(msg)
    low, high, log, step = given["low"], given["high"], given.get("log", False), given.get("step")
    if not isinstance(log, bool):
        msg = f"{where}: log={log} is not allowed: it must be true or false, without quotes."
        raise ConfigError(msg)
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
    if step is not None and abs((n_steps := (high - low) / step) - round(n_steps)) > _TOLERANCE:
        reached = low + math.floor(n_steps) * step
        msg = (
            f"{where}: steps of {step:g} from low={low:g} do not end at high={high:g}, and both ends are included. "
            f"Take high={reached:g}, or another step."
        )
        raise ConfigError(msg)
    whole = isinstance(low, int) and isinstance(high, int) and (step is None or isinstance(step, int))
    return Span(key=key, low=low, high=high, log=log, step=step, whole=whole, when=when)


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
