"""What became of a data set's rows: counted, and shown with a few examples."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The way from the rows that were read to the splits."""

    source: str
    """What was read: layout, rows, files."""

    n_read: int
    """Rows read, a published test file's left out."""

    taken: tuple[Taken, ...]
    """Every step in order, also those that took nothing."""

    held: Mapping[str, int]
    """Rows of train, validation and test before the caps n_train, n_validation and n_test."""

    noted: tuple[Taken, ...] = ()
    """What stays and should be seen, as steps that took nothing away."""

    notes: tuple[str, ...] = ()
    """What else a person should know, in sentences."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> "Account":
        """Return what `to_json` wrote."""
        steps = {name: tuple(map(_step, plain[name])) for name in ("taken", "noted")}
        return Account(**{**plain, **steps, "notes": tuple(plain["notes"])})


def _step(plain: Mapping[str, Any]) -> Taken:
    return Taken(**{**plain, "cases": tuple(Case(**case) for case in plain["cases"])})


def taken(step: str, setting: str, rows: Sequence[tuple[Example, str]]) -> Taken:
    """Return the account of a step, from the rows that it took and why it took each."""
    cases = tuple(Case(id=row.id, text=opening(row), why=why) for row, why in rows[:N_SHOWN])
    return Taken(step=step, setting=setting, count=len(rows), cases=cases)


def opening(row: Example) -> str:
    """Return the beginning of question and answer on one line."""
    text = " ".join(f"{row.messages[-1].content} → {row.answer}".split())
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"
