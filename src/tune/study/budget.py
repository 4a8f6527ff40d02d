"""How much of `study.budget` is used: wall-clock time over all starts of a study, kept in the study itself."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from tune.config.duration import seconds_of
from tune.config.schema import Config

_SPENT = "spent_s"
"""How the attributes of a study begin that hold the seconds of each supervisor's start: several may run it at once."""


@dataclass(slots=True)
class Clock:
    """Counts while a study is run. A process that dies loses what it had not told yet."""

    study: Any
    config: Config
    _own: str = field(default_factory=lambda: f"{_SPENT}:{uuid.uuid4().hex[:12]}")
    _began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)

    def is_used(self) -> bool:
        """Return whether the budget is used; never without one."""
        limit = budget_s(self.config)
        return limit is not None and _spent_s(self.study, but=self._own) + self._now() >= limit

    def tell(self, *, every_s: float = 0.0) -> None:
        """Keep the time in the study, unless that was done so many seconds ago or less."""
        if time.monotonic() - self._told >= every_s:
            self._told = time.monotonic()
            self.study.set_user_attr(self._own, self._now())

    def _now(self) -> float:
        return time.monotonic() - self._began


def budget_s(config: Config) -> int | None:
    """Return the budget in seconds; None where there is none."""
    return seconds_of(config.study.budget) if config.study.budget else None


def spent_s(study: Any) -> float:
    """Return the seconds in which somebody ran the study; those of supervisors that ran it at once are added."""
    return _spent_s(study, but=None)


def _spent_s(study: Any, *, but: str | None) -> float:
    attrs = study.user_attrs
    return sum(float(seconds) for name, seconds in attrs.items() if name.startswith(_SPENT) and name != but)
