"""What `clean` would free, the question whether it may, and what it freed."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tune.track.upkeep import FreeableRecord, size_words


def print_freeable(study: str, found: Sequence[FreeableRecord], console: Console) -> None:
    """Print what may go, by kind and in all."""
    if not found:
        console.print(f"{study}: nothing to free")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what may go", no_wrap=True)
    for head in ("trials", "size"):
        table.add_column(head, justify="right", no_wrap=True)
    for kind in found:
        table.add_row(kind.kind, str(kind.n_trials), size_words(kind.size))
    table.add_row("in all", "", size_words(_total(found)), style="bold")
    console.print(table)


def may_free(found: Sequence[FreeableRecord], console: Console, *, yes: bool) -> bool:
    """Return whether it may go: `yes` says so, or the person at the terminal does."""
    if yes:
        return True
    if not (sys.stdin.isatty() and console.is_terminal):
        console.print("Nothing was removed: there is no terminal to ask at. clean.yes=true removes without asking.")
        return False
    console.print(f"Free {size_words(_total(found))}? [y/N] ", end="")
    try:
        answer = input()
    except EOFError:
        answer = ""
    if answer.strip().lower() in {"y", "yes"}:
        return True
    console.print("Nothing was removed.")
    return False


def print_freed(freed: int, kept: Sequence[str], console: Console) -> None:
    """Print how much went, and what did not."""
    console.print(f"freed {size_words(freed)}")
    for what in kept:
        console.print(f"could not be removed: {what}", soft_wrap=True)


def _total(found: Sequence[FreeableRecord]) -> int:
    return sum(kind.size for kind in found)
