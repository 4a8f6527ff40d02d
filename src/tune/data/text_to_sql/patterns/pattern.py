"""What a pattern is: one shape of SQL query and the ways people ask for it."""

import re
import string
from dataclasses import dataclass
from typing import Literal

Level = Literal["easy", "medium", "hard"]

N_HELD_OUT = 2
"""The last two phrasings never train: the one before last is validation's, the last is test's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """A query with gaps, and questions with the same gaps; slots.py lists the gaps."""

    name: str
    level: Level
    sql: str
    """Square brackets mark pieces that matter: without one of them the result must change."""

    phrasings: tuple[str, ...]
    ordered: bool = False
    """True when the question asks for an order of rows."""

    @property
    def writes(self) -> bool:
        """True for INSERT, UPDATE and DELETE."""
        return not self.sql.startswith("SELECT")

    @property
    def gaps(self) -> frozenset[str]:
        """Names of all gaps, in the query and in any phrasing."""
        texts = (self.sql, *self.phrasings)
        return frozenset(name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name)

    @property
    def joins(self) -> bool:
        """True when the pattern needs both tables of a schema."""
        return any(gap.startswith("p_") for gap in self.gaps)

    @property
    def train_phrasings(self) -> tuple[str, ...]:
        """The phrasings that training may show."""
        return self.phrasings[:-N_HELD_OUT]


def gold(sql: str) -> str:
    """Return the query without its bracket marks."""
    return sql.replace("[", "").replace("]", "")


def without_each_piece(sql: str) -> list[str]:
    """Return, for each bracketed piece, the query that leaves it out, and the AND before it if that ends the query."""
    pieces = re.finditer(r"\[[^\]]*\]", sql)
    return [gold(sql[: piece.start()] + sql[piece.end() :]).removesuffix(" AND") for piece in pieces]
