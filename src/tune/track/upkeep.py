"""What `doctor` found and what `clean` may free, in plain data that is printed."""

from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What became of something that was found."""

    found = "found"
    """It can be mended, and was not."""

    mended = "mended"
    stays = "cannot be mended here"


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingRecord:
    """Something in which storage, MLflow and disk do not agree."""

    place: str
    """Where it shows: storage, MLflow or disk."""

    what: str
    """What is wrong, in a sentence without its full stop."""

    fate: Fate
    advice: str
    """What mends it, what was done, or why neither."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckupRecord:
    """All that was found in one study."""

    study: str
    n_trials: int
    """Trials that were looked at."""

    findings: tuple[FindingRecord, ...]
    notes: tuple[str, ...]
    """What is as it may be, and good to know."""

    @property
    def n_mended(self) -> int:
        """Return how many findings are none any more."""
        return sum(finding.fate is Fate.mended for finding in self.findings)

    @property
    def n_left(self) -> int:
        """Return how many findings remain."""
        return len(self.findings) - self.n_mended


@dataclass(frozen=True, kw_only=True, slots=True)
class FreeableRecord:
    """One kind of files that nothing needs any more."""

    kind: str
    """What they are, in words."""

    n_trials: int
    """Trials that have some."""

    size: int
    """Bytes."""


def size_words(size: float) -> str:
    """Return bytes as people say them: 312 B, 40.0 KiB, 1.2 GiB."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:  # noqa: PLR2004
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
