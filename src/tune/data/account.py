"""What was taken out of a data set and why: counted, and shown with a few examples."""

from collections.abc import Sequence
from dataclasses import dataclass

from tune.examples import Example

N_SHOWN = 3
"""Examples shown of each step."""

_LENGTH = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One row that went."""

    id: str
    text: str
    """The beginning of its question and answer."""

    why: str
    """What is wrong with this one, for example which row it repeats; may be empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What one step took."""

    step: str
    """In the plural, for a table: exact duplicates."""

    setting: str
    """The key that turns the step on or off, or sets its limit."""

    count: int
    cases: tuple[Case, ...]
    """The first N_SHOWN of them."""


def taken(step: str, setting: str, rows: Sequence[tuple[Example, str]]) -> Taken:
    """Return the account of a step, from the rows that it took and why it took each."""
    cases = tuple(Case(id=row.id, text=opening(row), why=why) for row, why in rows[:N_SHOWN])
    return Taken(step=step, setting=setting, count=len(rows), cases=cases)


def opening(row: Example) -> str:
    """Return the beginning of question and answer on one line."""
    text = " ".join(f"{row.messages[-1].content} → {row.answer}".split())
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"
