"""Which points of a space are never run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tune.config.compose import value_at
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.study.space.dimension import Dimension, Point, options, value_of
from tune.study.space.expression import Expression, parse


@dataclass(frozen=True, slots=True)
class Reject:
    """An expression; where it is true, a point is not run."""

    expression: Expression

    @property
    def text(self) -> str:
        """Return it as it was written."""
        return self.expression.text

    def holds(self, point: Point, config: Config) -> bool:
        """Return whether it rejects a point."""
        return self.expression.is_true(lambda key: value_of(key, point, config))


def read_rejects(dimensions: Sequence[Dimension], config: Config) -> tuple[Reject, ...]:
    """Return the sweep's expressions.

    Raises:
        ConfigError: One cannot be read, names a key that there is not, or is neither true nor false.
    """
    assert config.sweep is not None
    given = config.sweep.reject
    texts = given if isinstance(given, list) else [given]
    return tuple(Reject(parse(text, lambda key: _example(key, dimensions, config))) for text in texts)


def _example(key: str, dimensions: Sequence[Dimension], config: Config) -> Any:
    """Return a value that the key may have, which tells its kind."""
    if key in options(config):
        return next(iter(options(config)[key]))
    try:
        configured = value_at(config, key)
    except ConfigError as error:
        msg = f"{error} A text is quoted: '{key}'." if "." not in key else str(error)
        raise ConfigError(msg) from error
    own = next((dimension for dimension in dimensions if dimension.key == key), None)
    if configured is not None or own is None:
        return configured
    return own.values[0] if hasattr(own, "values") else own.low
