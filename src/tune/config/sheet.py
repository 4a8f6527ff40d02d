"""What `sheet` puts before raters: two models' replies to the same questions, side by side and unnamed."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

BASE = "base"


class SheetForm(StrEnum):
    """Which form of a trial's model replied."""

    adapter = "adapter"
    """Base and adapter, as they were trained."""

    deployed = "deployed"
    """Merged weights, quantized again where the study is; finalists alone have it."""


@dataclass(kw_only=True, slots=True)
class SheetConfig:
    """What `sheet` puts before raters."""

    n: int = 50
    """Questions on the sheet, drawn from those whose two replies differ. At least 1."""

    seed: int = 0
    """Draws the questions, their order and the sides. At least 0."""

    folder: str | None = None
    """Where sheet.csv and sheet.html go; null for the study's folder. The key stays in the trial's."""

    trial: int | None = None
    """Number of the trial that is rated; null for the one of the study's verdict, else the best. At least 0."""

    against: str = BASE
    """What it is compared with: base, or the number of another trial."""

    form: SheetForm = SheetForm.adapter
    """Which form of the trial's model replied: adapter or deployed."""

    show_answer: bool = False
    """Show raters the right answer too, where they could not tell it themselves."""

    @property
    def other(self) -> int | None:
        """Return the number of the trial that it is compared with; None for the base."""
        return None if self.against == BASE else int(self.against)


def impossible_sheet(sheet: SheetConfig) -> Iterator[str]:
    """Yield a sentence for every combination that cannot work."""
    if sheet.against != BASE and not (sheet.against.isascii() and sheet.against.isdecimal()):
        yield f"sheet.against={sheet.against} is not allowed: it must be base, or the number of another trial."
    elif sheet.trial is not None and sheet.trial == sheet.other:
        yield (
            f"sheet.against={sheet.against} is not allowed: it is sheet.trial={sheet.trial} itself. "
            "Name another trial, or base."
        )
