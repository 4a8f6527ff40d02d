"""How the next point is chosen: one sampler of Optuna's for each kind that a study may ask for."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tune.config.schema import Config, Sampler
from tune.errors import StudyError
from tune.study.cma import cma_sampler
from tune.study.nsga2 import nsga2_sampler
from tune.study.qmc import qmc_sampler
from tune.study.repeats import over_means
from tune.study.space import Space, Value, nothing_left, passing
from tune.study.valued import valuing

_GROUPED = {"multivariate": True, "group": True}
"""Keys that exist together are drawn together."""

KEEPING_COUNT = frozenset({Sampler.nsga2})
"""Samplers that must see every trial, also one whose point is given: each is one of a generation."""


def make_sampler(
    kind: Sampler,
    space: Space,
    config: Config,
    *,
    seed: int,
    nth: int | None,
    over: Callable[[Any], Any] | None = None,
) -> Any:
    """Return a sampler for one draw.

    Args:
        kind: study.sampler, or another where nothing is left to choose.
        space: What is drawn from.
        config: Of the study.
        seed: Of this draw; another draw has another.
        nth: Place of this draw among the study's draws, from 0; None where a point of the queue is only completed.
        over: Given where points have several seeds and are to be seen by their means: returns, of Optuna's trials, the
            last attempt at each that was begun.
    """
    sampler = _alone(kind, space, config, seed=seed, nth=nth)
    return over_means(sampler, over) if over else sampler


def _alone(kind: Sampler, space: Space, config: Config, *, seed: int, nth: int | None) -> Any:
    from optuna import samplers

    make: dict[Sampler, Callable[[], Any]] = {
        Sampler.random: lambda: samplers.RandomSampler(seed=seed),
        # Its cells are in the queue; nothing is left to choose.
        Sampler.grid: lambda: samplers.RandomSampler(seed=seed),
        Sampler.tpe: lambda: samplers.TPESampler(seed=seed, **(_GROUPED if space.is_conditional else {})),
        Sampler.gp: lambda: valuing(samplers.GPSampler(seed=seed, warn_independent_sampling=False), infeasible=True),
        Sampler.qmc: lambda: samplers.RandomSampler(seed=seed) if nth is None else qmc_sampler(space, config, nth),
        # What is infeasible is drawn anew in the same generation.
        Sampler.cmaes: lambda: valuing(cma_sampler(seed), infeasible=False),
        Sampler.nsga2: lambda: nsga2_sampler(seed, config.study.population),
    }
    with unwarned():
        return make[kind]()


def load_libraries(kind: Sampler) -> None:
    """Import what a sampler needs: under the study's lock it would keep others waiting for seconds."""
    if kind is Sampler.gp:
        import torch  # noqa: F401


def passing_sampler(space: Space, config: Config, seed: int, fixed: Mapping[str, Value]) -> Any:
    """Return a sampler that draws a point that is not rejected."""
    import optuna

    point = passing(space, config, seed=seed, fixed=fixed)
    if point is None:
        raise StudyError(nothing_left(space, config, fixed=fixed))
    kind = config.study.sampler if config.study.sampler in KEEPING_COUNT else Sampler.random
    with unwarned():
        return optuna.samplers.PartialFixedSampler(point, _alone(kind, space, config, seed=seed, nth=None))


@contextmanager
def unwarned() -> Iterator[None]:
    """Let Optuna not warn of what has been there for years; a new version is tried before it is taken."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
