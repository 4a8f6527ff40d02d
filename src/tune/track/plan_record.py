"""What `plan` says of a study or a trial that was not started, in plain data that is printed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRecord:
    """What one configuration takes, by the estimate."""

    name: str
    """Which one: smallest, as set (what is searched has its configured value) or largest; of a single trial memory."""

    point: Mapping[str, Any]
    peak_gib: float
    trainable: int
    """Parameters that are trained."""

    share: float
    """They as a share of all parameters, from 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskRecord:
    """Room that one kind of file takes, in GiB."""

    what: str
    low_gib: float
    high_gib: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOutRecord:
    """Configurations that will not run, and why."""

    why: str
    n: int
    of: int
    unit: str
    """What was counted: cells of the grid, points drawn, configurations looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeRecord:
    """How long it would take, from the quickest step seen to the slowest, in seconds."""

    step_low_s: float
    step_high_s: float
    trial_low_s: float
    """Of one trial, training and scores."""

    trial_high_s: float
    total_low_s: float
    """Of all trials, workers at once, with the start, the base's own scores and the finals on the test split."""

    total_high_s: float
    cost_low: float | None
    """In the currency of plan.price_per_hour; None where that is not set."""

    cost_high: float | None
    probe_s: float
    """That it took to find out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRecord:
    """All that can be said before anything is trained."""

    name: str
    question: str
    objectives: tuple[str, ...]
    """What the search is about, as in `maximize task/score`; empty for a single trial."""

    space: tuple[str, ...]
    """What varies, one text a dimension; empty for a single trial."""

    n_points: int | None
    """Different points of the space; None where there is no end of them."""

    n_trials: int
    sampler: str | None
    n_workers: int
    first: tuple[Mapping[str, Any], ...]
    """The points that are run first, with the seed of the trial."""

    place: str
    """What memory was estimated for: GPU or CPU."""

    n_estimated: int
    n_configurations: int
    """Configurations whose memory may differ, of those that were looked at."""

    sizes: tuple[SizeRecord, ...]
    """The smallest, the one as it is set, and the largest; of a single trial it alone."""

    on_gpu: tuple[SizeRecord, ...]
    """The same on a GPU, where this machine shows none and model.device does not say which; else none."""

    limit_gib: float | None
    """Most that a worker may hold; None where it is not known."""

    time: TimeRecord | None
    """None where it was not measured."""

    disk: tuple[DiskRecord, ...]
    free_gib: float
    left_out: tuple[LeftOutRecord, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as `report.format=json` prints it."""
        return asdict(self)
