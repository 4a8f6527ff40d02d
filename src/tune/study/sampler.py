"""How the next point is chosen: one sampler of Optuna's for each kind that a study may ask for."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tune.config.schema import Config, Sampler
from tune.errors import StudyError
from tune.study.repeats import over_means
from tune.study.space import Space, Value, nothing_left, passing


def make_sampler(kind: Sampler, seed: int, space: Space, *, over: Callable[[Any], Any] | None = None) -> Any:
    """Return a sampler for one draw.

    Args:
        kind: study.sampler.
        seed: Of this draw; another draw has another.
        space: What is drawn from.
        over: Given where points have several seeds and are to be seen by their means: returns, of Optuna's trials, the
            last attempt at each that was begun.
    """
    sampler = _alone(kind, seed, space)
    return over_means(sampler, over) if over else sampler


def _alone(kind: Sampler, seed: int, space: Space) -> Any:
    import optuna

    if kind is not Sampler.tpe:
        return optuna.samplers.RandomSampler(seed=seed)
    if not space.is_conditional:
        return optuna.samplers.TPESampler(seed=seed)
    with unwarned():
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def passing_sampler(space: Space, config: Config, seed: int, fixed: Mapping[str, Value]) -> Any:
    """Return a sampler that draws a point that is not rejected."""
    import optuna

    point = passing(space, config, seed=seed, fixed=fixed)
    if point is None:
        raise StudyError(nothing_left(space, config, fixed=fixed))
    with unwarned():
        return optuna.samplers.PartialFixedSampler(point, optuna.samplers.RandomSampler(seed=seed))


@contextmanager
def unwarned() -> Iterator[None]:
    """Let Optuna not warn: both have been there for years, and a new version is tried before it is taken."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
