"""What a search is about: one metric of a trial, or several that are weighed against each other."""

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which end of the objective is better."""

    maximize = "maximize"
    minimize = "minimize"


@dataclass(kw_only=True, slots=True)
class ObjectiveConfig:
    """One number that the search is about."""

    metric: str = "task/score"
    """A metric that the trial's evaluation produces."""

    direction: Direction = Direction.maximize
    """maximize or minimize."""
