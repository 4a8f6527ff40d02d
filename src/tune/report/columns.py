"""Columns of a leaderboard, as many of them as the terminal has room for."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of the leaderboard."""

    head: str
    cells: list[str]
    rank: int = 0
    """Columns of a higher rank are left out first where the terminal is narrow; 0 stays."""

    @property
    def width(self) -> int:
        """Return how many characters its widest line has."""
        return max(len(line) for text in (self.head, *self.cells) for line in text.split("\n"))


def print_fitting(columns: list[Column], console: Console, *, n_best: int) -> None:
    """Print the columns that the terminal has room for, and say which are left out; no number is cut.

    Args:
        columns: All.
        console: Where to.
        n_best: Rows that are best.
    """

    def needed() -> int:
        return sum(column.width + 2 for column in shown) - 2

    shown, hidden = list(columns), []
    while needed() > console.width and any(column.rank for column in shown):
        least = max(shown, key=lambda column: column.rank)
        shown.remove(least)
        hidden.append(least.head.replace("-\n", "").replace("\n", " "))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(column.head, justify="right", no_wrap=True, overflow="fold")
    for place, cells in enumerate(zip(*(column.cells for column in shown), strict=True)):
        table.add_row(*cells, style="bold green" if place < n_best else None)
    width = max(needed(), console.width)
    wide = Console(file=console.file, width=width, force_terminal=console.is_terminal, markup=False)
    wide.print(table)  # the terminal wraps what it cannot show; Rich would cut it
    if hidden:
        console.print(f"(no room for {', '.join(reversed(hidden))}: widen the terminal, or report.format=json)")
