"""What the smallest, the configured and the largest configuration of a plan take, here and on a GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune.config.compose import difference
from tune.config.leaves import leaves
from tune.config.model import Device
from tune.config.schema import Config
from tune.study.space import Space
from tune.track.plan_record import SizeRecord
from tune.trial.sizes import Rows, Sized, measure_sizes

_SMALLEST, _SET, _LARGEST = "smallest", "as set", "largest"
_ONLY = "memory"
"""Of a single trial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extremes:
    """What stands for all configurations that were estimated."""

    here: tuple[SizeRecord, ...]
    """The smallest, the one as it is set, and the largest; of a single trial it alone.

    None where nothing could be estimated.
    """

    on_gpu: tuple[SizeRecord, ...]
    """The same on a GPU, where none is seen here and none was ruled out."""


def extremes(
    found: Sequence[Sized], config: Config, space: Space | None, *, rows: Rows | None, sees_gpu: bool
) -> Extremes:
    """Return them.

    Args:
        found: All that were estimated, the smallest first.
        config: As it was composed; what is searched has its configured value there.
        space: What is searched; None for a single trial.
        rows: Reads how long the rows are, as for the others.
        sees_gpu: Whether model.device=auto is a GPU.
    """
    if not found:
        return Extremes(here=(), on_gpu=())
    three = [(_SMALLEST, found[0]), (_LARGEST, found[-1])] if space else [(_ONLY, found[0])]
    if space and (own := _sized(_as_set(config, space), config, rows, on_gpu=sees_gpu)):
        three.insert(1, (_SET, own))
    elsewhere = []
    if config.model.device is Device.auto and not sees_gpu:
        elsewhere = [(name, _sized(one.point, one.config, rows, on_gpu=True)) for name, one in three]
    return Extremes(
        here=tuple(_record(name, one) for name, one in three),
        on_gpu=tuple(_record(name, one) for name, one in elsewhere if one),
    )


def _as_set(config: Config, space: Space) -> dict[str, Any]:
    """Return the configured values of the keys that are searched; an option of a group has none of its own."""
    values = leaves(config)
    return {one.key: values[one.key] for one in space.dimensions if one.key in values}


def _sized(point: Mapping[str, Any], config: Config, rows: Rows | None, *, on_gpu: bool) -> Sized | None:
    sized = measure_sizes([(point, config)], rows=rows, on_gpu=on_gpu, on=lambda *_: None).sized
    return sized[0] if sized else None


def _record(name: str, one: Sized) -> SizeRecord:
    found = one.estimate
    point = one.point or {"overrides": " ".join(difference(one.config)) or "none"}
    return SizeRecord(name=name, point=point, peak_gib=found.peak, trainable=found.trainable, share=found.share)
