"""From dimensions to points: as a sampler draws them, at random, or all of them."""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tune.config.schema import Config
from tune.study.space.dimension import Choices, Dimension, Point, Span, Tied, Value, as_run, exists, parameter


def draw(order: Sequence[Dimension], trial: Any, config: Config) -> dict[str, Value]:
    """Return the values that the trial is to be run with, by key; only dimensions that exist there are drawn.

    Args:
        order: What varies, each after all that it depends on.
        trial: An Optuna trial, or what suggests as one does.
        config: Gives the values of keys that do not vary.
    """
    point: dict[str, Value] = {}
    for dimension in order:
        if exists(dimension, point, config):
            point[dimension.key] = as_run(dimension, _suggested(dimension, trial), point, config)
    return point


def meant(order: Sequence[Dimension], parameters: Mapping[str, Value], config: Config) -> dict[str, Value]:
    """Return the values, by key, that some of the sampler's parameters mean; the rest is not drawn yet."""
    point: dict[str, Value] = {}
    for dimension in order:
        if parameter(dimension) in parameters and exists(dimension, point, config):
            point[dimension.key] = as_run(dimension, parameters[parameter(dimension)], point, config)
    return point


def walk(
    order: Sequence[Dimension], config: Config, values_of: Callable[[Dimension], Sequence[Value]]
) -> Iterator[tuple[dict[str, Value], dict[str, Value]]]:
    """Give every combination: the sampler's parameters, and the point that they mean."""
    yield from _walk(tuple(order), config, values_of, ({}, {}))


def _walk(
    order: tuple[Dimension, ...],
    config: Config,
    values_of: Callable[[Dimension], Sequence[Value]],
    so_far: tuple[dict[str, Value], dict[str, Value]],
) -> Iterator[tuple[dict[str, Value], dict[str, Value]]]:
    if not order:
        yield so_far
        return
    (dimension, *rest), (cell, point) = order, so_far
    if not exists(dimension, point, config):
        yield from _walk(tuple(rest), config, values_of, so_far)
        return
    for drawn in values_of(dimension):
        further = (
            {**cell, parameter(dimension): drawn},
            {**point, dimension.key: as_run(dimension, drawn, point, config)},
        )
        yield from _walk(tuple(rest), config, values_of, further)


@dataclass(frozen=True, slots=True)
class RandomTrial:
    """Suggests at random what is not fixed; Optuna's own needs a study, and this is asked thousands of times."""

    source: random.Random
    fixed: Mapping[str, Value] = field(default_factory=dict)
    params: dict[str, Value] = field(default_factory=dict)
    """What was suggested."""

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """Return one of the choices."""
        return self._keep(name, lambda: self.source.choice(choices))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool, step: int) -> Value:
        """Return a whole number."""
        if log:
            return self._keep(name, lambda: min(high, max(low, round(self._log(low, high)))))
        return self._keep(name, lambda: self.source.randrange(low, high + 1, step))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> Value:
        """Return a number."""
        if log:
            return self._keep(name, lambda: min(high, max(low, self._log(low, high))))
        if step is None:
            return self._keep(name, lambda: self.source.uniform(low, high))
        n_steps = math.floor((high - low) / step + 1e-9)
        return self._keep(name, lambda: low + step * self.source.randint(0, n_steps))

    def _log(self, low: float, high: float) -> float:
        return math.exp(self.source.uniform(math.log(low), math.log(high)))

    def _keep(self, name: str, drawn: Callable[[], Value]) -> Value:
        self.params[name] = self.fixed[name] if name in self.fixed else drawn()
        return self.params[name]


def random_points(
    order: Sequence[Dimension], config: Config, *, seed: int, n: int, fixed: Mapping[str, Value]
) -> Iterator[tuple[dict[str, Value], Point]]:
    """Give points drawn at random, with some of the sampler's parameters fixed: all its parameters, and the point."""
    source = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    for _ in itertools.repeat(None, n):
        trial = RandomTrial(source, fixed)
        point = draw(order, trial, config)
        yield trial.params, point


def _suggested(dimension: Dimension, trial: Any) -> Value:
    name = parameter(dimension)
    suggested: Value
    if isinstance(dimension, Choices | Tied):
        suggested = trial.suggest_categorical(name, dimension.values)
        return suggested
    return _number(dimension, trial)


def _number(dimension: Span, trial: Any) -> Value:
    number: Value
    if dimension.whole:
        low, high, step = int(dimension.low), int(dimension.high), int(dimension.step or 1)
        number = trial.suggest_int(dimension.key, low, high, log=dimension.log, step=step)
    else:
        number = trial.suggest_float(
            dimension.key, dimension.low, dimension.high, log=dimension.log, step=dimension.step
        )
    return number
