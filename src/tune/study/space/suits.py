"""Which samplers can draw from which spaces."""

from tune.config.schema import Sampler
from tune.errors import ConfigError
from tune.study.space.dimension import Dimension, Span


def refuse_unsuited(order: tuple[Dimension, ...], kind: Sampler) -> None:
    """Refuse a sampler that would draw nothing, or not what it is for.

    Raises:
        ConfigError: The way out is in it.
    """
    if kind is Sampler.cmaes and not any(isinstance(one, Span) and not one.when for one in order):
        msg = (
            "study.sampler=cmaes is not allowed here: it searches ranges that exist at every point, and sweep.space "
            f"has none ({', '.join(one.key for one in order)}). Give a key {{low: ..., high: ...}}, or take "
            "study.sampler=tpe, which searches lists too."
        )
        raise ConfigError(msg)
    conditional = [one.key for one in order if one.when]
    if kind is Sampler.qmc and conditional:
        msg = (
            "study.sampler=qmc is not allowed here: its sequence spreads points evenly over keys that exist at every "
            f"point, and {', '.join(conditional)} has a `when`. Leave the condition out, or take study.sampler=random "
            "or tpe."
        )
        raise ConfigError(msg)
