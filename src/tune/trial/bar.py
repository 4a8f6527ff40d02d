"""A progress bar for what reads and writes data: shown on a terminal, silent elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


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

    def announce(self, text: str) -> None:
        """Print a sentence."""
        self._progress.console.print(text, soft_wrap=True)
