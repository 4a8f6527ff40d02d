"""What two models replied to the same questions, in plain data that a blind sheet is made from."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedRecord:
    """One question and what both replied."""

    id: str
    """Of the example; unique in its split."""

    question: str
    answer: str
    """The right one."""

    reply: str
    """The trial's."""

    other: str
    """What it is compared with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SidesRecord:
    """A trial's replies beside those of the base or of another trial."""

    study: str
    trial: int
    against: str
    """base, or the number of another trial."""

    form: str
    """adapter or deployed."""

    split: str
    """test for finalists, else validation."""

    confidence: float
    """Probability that the study's intervals are meant to cover."""

    asked: tuple[AskedRecord, ...]
    study_folder: Path
    trial_folder: Path

    @property
    def other(self) -> str:
        """Return what the trial is compared with, in words."""
        return "the base" if self.against == "base" else f"trial {self.against}"
