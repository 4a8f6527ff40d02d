"""What a table of the text_to_sql task is: its columns, and the words a question uses for them.

A column plays one role. Patterns ask for roles, never for columns, so that one
pattern fits every schema that has the roles it needs.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

Role = Literal["id", "label", "category", "measure", "date", "blank", "key"]
"""id: integer primary key. label: unique name. category: few values, often repeated. measure: a number.
date: ISO text. blank: text that may be NULL. key: points at the id of the schema's second table."""

Value = str | int | float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column, the words for it, and where its values come from."""

    name: str
    role: Role
    word: str
    """Singular noun in a question; for a date the participle, as in "books added in 2023"."""

    plural: str = ""
    pool: tuple[str, ...] = ()
    """Values to draw from: label, category and blank columns."""

    low: float = 0
    high: float = 0
    step: float = 1
    """Lowest value, end of the range (excluded) and spacing: measure columns."""

    most: str = "highest"
    least: str = "lowest"
    adds: bool = False
    """True when a sum of the values means something: prices do, ratings do not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table and the nouns for a row of it."""

    name: str
    one: str
    columns: tuple[Column, ...]

    def with_role(self, role: Role) -> tuple[Column, ...]:
        """Return the columns that play this role, in table order."""
        return tuple(column for column in self.columns if column.role == role)

    @property
    def signature(self) -> str:
        """The table as the prompt shows it, for example `books(title, price)`."""
        return f"{self.name}({', '.join(column.name for column in self.columns)})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """One or two tables of one domain; with two, the first has a key into the second."""

    name: str
    tables: tuple[Table, ...]
    link: str = ""
    """Words between a row of the first table and the row it points at: books *by* the author."""

    @property
    def signature(self) -> str:
        """The prompt's lines, one a table."""
        return "\n".join(table.signature for table in self.tables)


def pairs(firsts: str, seconds: str) -> tuple[str, ...]:
    """Return every two-word name made of a first and a second word."""
    return tuple(f"{first} {second}" for first, second in itertools.product(firsts.split(), seconds.split()))


def plural_of(noun: str) -> str:
    """Return the regular English plural of a noun."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "ch", "sh", "x")) else "s")


def article(noun: str) -> str:
    """Return the noun with "a" or "an" in front."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


PEOPLE = pairs("Ada Ben Cleo Dan Eva Finn Gus", "Berg Cole Lund Moss")
FIRST_NAMES = ("Mia", "Noah", "Olga", "Pia", "Ravi", "Sara", "Tom", "Uma", "Vera", "Walt")


def table(name: str, one: str, *columns: Column) -> Table:
    """Return a table of these columns; `one` is the noun for a row."""
    return Table(name=name, one=one, columns=columns)


def schema(name: str, main: Table, second: Table | None = None, link: str = "") -> Schema:
    """Return a schema of one table, or of two where the first points at the second."""
    return Schema(name=name, tables=(main, second) if second else (main,), link=link)


def identity() -> Column:
    """The integer primary key that every second table starts with."""
    return Column(name="id", role="id", word="id")


def key(name: str) -> Column:
    """A reference to the second table's id."""
    return Column(name=name, role="key", word=name)


def label(name: str, pool: tuple[str, ...]) -> Column:
    """The column people know a row by; unique within its table."""
    return Column(name=name, role="label", word=name, plural=plural_of(name), pool=pool)


def category(name: str, values: str, plural: str = "") -> Column:
    """A text column of a few space-separated values; the words are the column's name."""
    return Column(name=name, role="category", word=name, plural=plural or plural_of(name), pool=tuple(values.split()))


def measure(
    name: str, low: float, high: float, *, step: float = 1, adds: bool = False, extremes: str = "highest lowest"
) -> Column:
    """A numeric column with values low, low + step, … below high."""
    most, least = extremes.split()
    return Column(
        name=name,
        role="measure",
        word=name,
        plural=plural_of(name),
        low=low,
        high=high,
        step=step,
        most=most,
        least=least,
        adds=adds,
    )


def date(participle: str) -> Column:
    """A column of ISO dates, named by what happened on that day."""
    return Column(name=participle, role="date", word=participle)


def blank(name: str, values: str) -> Column:
    """A text column of which some values are missing."""
    return Column(name=name, role="blank", word=name, pool=tuple(values.split()))
