"""How much of `study.budget` is used: wall-clock time over all starts of a study, kept in the study itself."""

import time
from dataclasses import dataclass, field
from typing import Any

from tune.config.duration import seconds_of
from tune.config.schema import Config

SPENT = "spent_s"
"""Attribute of a study: seconds in which somebody ran it."""


@dataclass(slots=True)
class Clock:
    """Counts while a study is run. A process that dies loses what it had not told yet."""

    study: Any
    config: Config
    _before: float = field(init=False)
    _began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Read what earlier starts have used."""
        self._before = spent_s(self.study)

    def is_used(self) -> bool:
        """Return whether the budget is used; never without one."""
        limit = budget_s(self.config)
        return limit is not None and self._now() >= limit

    def tell(self, *, every_s: float = 0.0) -> None:
        """Keep the time in the study, unless that was done so many seconds ago or less."""
        if time.monotonic() - self._told >= every_s:
            self._told = time.monotonic()
            self.study.set_user_attr(SPENT, self._now())

    def _now(self) -> float:
        return self._before + time.monotonic() - self._began


def budget_s(config: Config) -> int | None:
    """Return the budget in seconds; None where there is none."""
    return seconds_of(config.study.budget) if config.study.budget else None


def spent_s(study: Any) -> float:
    """Return the seconds in which somebody ran the study."""
    return float(study.user_attrs.get(SPENT, 0.0))
