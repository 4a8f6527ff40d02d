"""How programs are run that a model wrote, where data.metrics has code; part of the recipe."""

from dataclasses import dataclass
from enum import StrEnum


class Jail(StrEnum):
    """What keeps a tested program from the machine; verdicts are the same in all of them."""

    auto = "auto"
    """The strongest that this machine has."""

    namespaces = "namespaces"
    """The filter, and a machine of its own: no network, other processes or files but Python's, which are read-only."""

    filter = "filter"
    """A seccomp filter alone: the program writes no file and reaches no network, but can read what its user can."""


@dataclass(kw_only=True, slots=True)
class CodeConfig:
    """Limits of one program with its tests."""

    timeout_s: int = 3
    """Whole seconds of processor time, as the kernel counts them; on the clock four times as many. From 1 to 600."""

    memory_mib: int = 512
    """Address space, Python's own 30 MiB included. From 64 to 65536."""

    n_parallel: int | None = None
    """Programs run at once; null: one a core. At least 1. No part of what a score depends on."""

    jail: Jail = Jail.auto
    """auto, namespaces or filter; a machine that lacks what is asked for refuses to evaluate."""
