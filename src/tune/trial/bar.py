"""A progress bar for what takes long: shown on a terminal; elsewhere a line a minute."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_QUIET_S = 60
"""How often a line is printed where the output is no terminal."""


class Bar:
    """One line on standard error, which is gone when the work is done."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._what = ""
        self._said = time.monotonic()
        self._task = self._progress.add_task("", total=None, visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on(self, what: str, done: int, total: int) -> None:
        """Show how far a step is."""
        if what != self._what:
            self._what = what
            self._progress.reset(self._task, description=what, total=total, visible=True)
        self._progress.update(self._task, completed=done, total=total)
        if self._progress.disable and time.monotonic() - self._said > _QUIET_S:
            self._said = time.monotonic()
            self.announce(f"{what} {done}/{total}")

    def announce(self, text: str) -> None:
        """Print a sentence."""
        self._progress.console.print(text, soft_wrap=True)
