"""The whole space of a sweep: its dimensions, what it rejects, and what it tries first."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune.config import rules
from tune.config.compose import value_at, with_values
from tune.config.schema import Config, Sampler
from tune.errors import ConfigError
from tune.study.space.dimension import (
    Dimension,
    Point,
    Value,
    as_run,
    corners,
    exists,
    options,
    parameter,
    settings,
    values,
)
from tune.study.space.draw import draw, meant, random_points, walk
from tune.study.space.first import read_first
from tune.study.space.order import ancestors, in_order
from tune.study.space.read import check_conditions, read_dimensions
from tune.study.space.reject import Reject, read_rejects
from tune.study.space.suits import refuse_unsuited

_MOST_CONTEXTS = 12
"""Settings in which a value is tried out; each takes some milliseconds, and a mistake is to be told in a second."""

_MOST_DRAWS = 10_000
"""Points drawn at random before a space is said to hold nothing that is not rejected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """What is searched."""

    dimensions: tuple[Dimension, ...]
    """As the sweep has them."""

    order: tuple[Dimension, ...]
    """Each after all that it depends on."""

    rejects: tuple[Reject, ...] = ()
    first: tuple[Mapping[str, Value], ...] = ()
    """Points to begin with, as the sampler's parameters; what one leaves out is drawn."""

    @property
    def is_conditional(self) -> bool:
        """Return whether some dimension exists only at some points."""
        return any(dimension.when for dimension in self.dimensions)

    def rejected_by(self, point: Point, config: Config) -> str | None:
        """Return the first expression that rejects a point; None where it may run."""
        return next((reject.text for reject in self.rejects if reject.holds(point, config)), None)


def parse_space(config: Config) -> Space:
    """Return the space of the sweep, each value of it tried out on the configuration.

    Raises:
        ConfigError: A key does not exist, a range is upside down, a choice is missing or not allowed, conditions are
            circular, an expression cannot be read or rejects everything, a first point is not in the space.
    """
    space = read_space(config)
    refuse_unsuited(space.order, config.study.sampler)
    check_conditions(space.dimensions, config)
    for dimension in space.dimensions:
        _try_out(dimension, space, config)
    is_grid = config.study.sampler is Sampler.grid
    left = grid(space, config) if is_grid else []
    for point in [{}, *space.first] if space.rejects or is_grid else ():
        fits = any(point.items() <= cell.items() for cell in left)
        if not fits and (is_grid or passing(space, config, seed=0, fixed=point) is None):
            raise ConfigError(nothing_left(space, config, fixed=point))
    return space


def read_space(config: Config) -> Space:
    """Return the space of a sweep that was looked through before."""
    dimensions = read_dimensions(config)
    order = in_order(dimensions, config)
    return Space(
        dimensions=dimensions,
        order=order,
        rejects=read_rejects(dimensions, config),
        first=read_first(order, config),
    )


def suggest(space: Space, trial: Any, config: Config) -> dict[str, Value]:
    """Return the values that the trial is to be run with, by key.

    Args:
        space: What varies.
        trial: An Optuna trial.
        config: Gives the values of keys that do not vary.
    """
    return draw(space.order, trial, config)


def configured(config: Config, point: Point) -> Config:
    """Return the configuration at a point: its options below what the user and the point itself say.

    Raises:
        ConfigError: A key does not exist or a value has the wrong type.
    """
    return with_values(config, settings(config, point))


def grid(space: Space, config: Config) -> list[dict[str, Value]]:
    """Return every combination that is not rejected, as the sampler's parameters.

    The last dimension varies fastest; cells that fit a point to try first come before the others.

    Raises:
        ConfigError: A dimension is a range without steps and has no end of values.
    """
    return cells(space, config)[0]


def cells(space: Space, config: Config) -> tuple[list[dict[str, Value]], Counter[str]]:
    """Return the cells of the grid, and how many more each expression rejects."""
    names = [parameter(dimension) for dimension in space.dimensions]
    places = {parameter(d): {value: at for at, value in enumerate(values(d))} for d in space.dimensions}
    kept: list[dict[str, Value]] = []
    left_out: Counter[str] = Counter()
    for cell, point in walk(space.order, config, values):
        if why := space.rejected_by(point, config):
            left_out[why] += 1
        else:
            kept.append({name: cell[name] for name in names if name in cell})

    def place(cell: dict[str, Value]) -> tuple[int, ...]:
        fits = (at for at, first in enumerate(space.first) if first.items() <= cell.items())
        own = (places[name][cell[name]] if name in cell else -1 for name in names)
        return (next(fits, len(space.first)), *own)

    return sorted(kept, key=place), left_out


def passing(space: Space, config: Config, *, seed: int, fixed: Mapping[str, Value]) -> dict[str, Value] | None:
    """Return a random point that is not rejected, as the sampler's parameters; None where none is found.

    Args:
        space: What varies.
        config: Gives the values of keys that do not vary.
        seed: The same seed draws the same point.
        fixed: Parameters that are not drawn.
    """
    points = random_points(space.order, config, seed=seed, n=_MOST_DRAWS, fixed=fixed)
    return next((params for params, point in points if space.rejected_by(point, config) is None), None)


def nothing_left(space: Space, config: Config, *, fixed: Mapping[str, Value] | None = None) -> str:
    """Return why no point can be run, in a paragraph that names the expression."""
    points = random_points(space.order, config, seed=0, n=100, fixed=fixed or {})
    whys = Counter(why for _, point in points if (why := space.rejected_by(point, config)))
    named = " and ".join(f"`{why}`" for why, _ in whys.most_common())
    where = f"the first point {meant(space.order, fixed, config)}" if fixed else "every point of sweep.space"
    return f"sweep.reject: {named} rejects {where}, so nothing can be run. Mend the expression, or change the space."


def _try_out(dimension: Dimension, space: Space, config: Config) -> None:
    """Refuse values that the configuration cannot have, in every setting in which the dimension exists."""
    if dimension.key not in options(config):
        value_at(config, dimension.key)  # which raises for a key that is none of a trial's
    before = ancestors(dimension, space.order, config)
    there = (point for _, point in walk(before, config, corners) if exists(dimension, point, config))
    contexts = list(itertools.islice(there, _MOST_DRAWS))
    for context in contexts[:: math.ceil(len(contexts) / _MOST_CONTEXTS) or 1]:
        for drawn in corners(dimension):
            point = {**context, dimension.key: as_run(dimension, drawn, context, config)}
            if space.rejected_by(point, config) is None:
                rules.check(configured(config, point))
    for drawn in () if contexts else corners(dimension):  # not here, but the same sweep may be asked of another model
        with_values(config, {dimension.key: as_run(dimension, drawn, {}, config)})


def describe(space: Space, config: Config) -> Sequence[tuple[str, str]]:
    """Return rows for a person: what is rejected, and what is tried first."""
    rows = []
    if space.rejects:
        words = "; ".join(reject.text for reject in space.rejects)
        if config.study.sampler is Sampler.grid:
            kept, left_out = cells(space, config)
            words = "; ".join(f"{reject.text} ({left_out[reject.text]} cells)" for reject in space.rejects)
            words += f"; {left_out.total()} of {len(kept) + left_out.total()} cells are left out"
        rows.append(("rejected", words))
    if space.first:
        firsts = (meant(space.order, first, config) for first in space.first)
        points = (", ".join(f"{key}={value}" for key, value in first.items()) for first in firsts)
        rows.append(("first", "; ".join(points)))
    return rows
