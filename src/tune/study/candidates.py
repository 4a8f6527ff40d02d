"""Which points a plan looks at: all that there are, the first that will be run, and those that are left out."""

import itertools
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tune.config.schema import Config, Sampler
from tune.study.claim import claim
from tune.study.signature import sign
from tune.study.space import Point, Space, Span, cells
from tune.study.space.dimension import Dimension, corners, values
from tune.study.space.draw import random_points, walk
from tune.study.space.order import parents
from tune.study.storage import n_wanted, open_study
from tune.track.plan_record import LeftOutRecord

_MOST_POINTS = 200
"""Points that are looked at; a configuration is made of each, which takes some milliseconds."""

_MOST_CORNERS = 10_000
_N_DRAWN = 1000


def n_points(space: Space, config: Config) -> int | None:
    """Return how many different points the space has, those left out too; None where there is no end of them."""
    if any(isinstance(one, Span) and one.step is None and not one.whole for one in space.dimensions):
        return None
    # What nothing depends on multiplies the rest: there may be more points than can be counted one by one.
    free = [one for one in space.order if not one.when and _decides_nothing(one, space, config)]
    others = [one for one in space.order if one not in free]
    return math.prod(len(values(one)) for one in free) * sum(1 for _ in walk(others, config, values))


def looked_at(space: Space, config: Config) -> list[Point]:
    """Return points that are not rejected: those of the grid, else combinations of ends and choices and some between.

    Where there are too many, some that lie evenly among them.
    """
    kept = [point for point in _all(space, config) if space.rejected_by(point, config) is None]
    return kept[:: -(-len(kept) // _MOST_POINTS) or 1]


def left_out(space: Space, config: Config) -> list[LeftOutRecord]:
    """Return what each expression of sweep.reject leaves out: of a grid's cells, else of points drawn at random."""
    if not space.rejects:
        return []
    if config.study.sampler is Sampler.grid:
        kept, counts = cells(space, config)
        total, unit = len(kept) + counts.total(), "cells"
    else:
        drawn = _drawn(space, config, n=_N_DRAWN)
        counts = Counter(why for point in drawn if (why := space.rejected_by(point, config)))
        total, unit = _N_DRAWN, "points drawn at random"
    return [LeftOutRecord(why=one.text, n=counts[one.text], of=total, unit=unit) for one in space.rejects]


def first_points(space: Space, config: Config, *, n: int) -> list[Mapping[str, Any]]:
    """Return the points that the first claims of a new study are given, before any has a result.

    They are claimed, in a study of its own that is thrown away: what a plan says is then what a worker gets.
    """
    with tempfile.TemporaryDirectory(prefix="tune-plan-") as place:
        runs = Path(place)
        own = replace(config, study=replace(config.study, storage=f"sqlite:///{runs / 'plan.db'}"))
        study, _ = open_study(own, runs)
        claimed = [claim(study, config, space, worker=sign()) for _ in range(min(n, n_wanted(config, space)))]
    return [{**one.point, "seed": one.config.seed} for one in claimed if one is not None]


def _decides_nothing(dimension: Dimension, space: Space, config: Config) -> bool:
    return not any(dimension in parents(one, space.order, config) for one in space.order if one.when)


def _all(space: Space, config: Config) -> Iterator[Point]:
    if config.study.sampler is Sampler.grid:
        yield from (point for _, point in walk(space.order, config, values))
        return
    yield from (point for _, point in itertools.islice(walk(space.order, config, corners), _MOST_CORNERS))
    yield from _drawn(space, config, n=_MOST_POINTS // 4)


def _drawn(space: Space, config: Config, *, n: int) -> Iterator[Point]:
    drawn = random_points(space.order, config, seed=config.study.seed, n=n, fixed={})
    yield from (point for _, point in drawn)
