"""Which dimension is drawn after which: what a condition or a tie looks at comes first."""

from collections.abc import Sequence

from tune.config.schema import Config
from tune.errors import ConfigError
from tune.study.space.dimension import Dimension, Tied, options


def parents(dimension: Dimension, dimensions: Sequence[Dimension], config: Config) -> list[Dimension]:
    """Return the dimensions whose values a dimension depends on."""
    looked_at = [condition.key for condition in dimension.when]
    if isinstance(dimension, Tied):
        looked_at.append(dimension.times)
    return [other for other in dimensions if any(_decides(other.key, key, config) for key in looked_at)]


def ancestors(dimension: Dimension, order: Sequence[Dimension], config: Config) -> list[Dimension]:
    """Return all dimensions that must be drawn before a dimension exists, in the order in which they are drawn."""
    needed: set[str] = set()
    for other in reversed(order):
        if any(other in parents(d, order, config) for d in order if d is dimension or d.key in needed):
            needed.add(other.key)
    return [other for other in order if other.key in needed]


def in_order(dimensions: Sequence[Dimension], config: Config) -> tuple[Dimension, ...]:
    """Return the dimensions, each after all that it depends on.

    Raises:
        ConfigError: Some depend on each other in a circle.
    """
    ordered: list[Dimension] = []
    left = sorted(dimensions, key=lambda dimension: isinstance(dimension, Tied))
    while left:
        ready = next((d for d in left if not parents(d, left, config)), None)
        if ready is None:
            raise ConfigError(_circle(left, config))
        left.remove(ready)
        ordered.append(ready)
    return tuple(ordered)


def _decides(key: str, looked_at: str, config: Config) -> bool:
    """Return whether the dimension of a key may set another key: itself, or as a group whose options do."""
    return key == looked_at or any(looked_at in option for option in options(config).get(key, {}).values())


def _circle(left: Sequence[Dimension], config: Config) -> str:
    path = [left[0]]
    while (following := parents(path[-1], left, config)[0]) not in path:
        path.append(following)
    circle = [dimension.key for dimension in path[path.index(following) :]]
    words = " → ".join([*circle, circle[0]])
    return (
        f"sweep.space: the conditions go round in a circle ({words}), so none of these can be drawn first. "
        "Take the `when` out of one of them."
    )
