"""What a person sees while something takes long: on a terminal a bar, in a log file nothing."""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bytes_bar(title: str, n_bytes: int) -> Iterator[Callable[[int], None]]:
    """Draw a bar of so many bytes; the function that it gives takes how many are there."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=n_bytes)
        yield lambda done: progress.update(task, completed=min(done, n_bytes))


@contextmanager
def spinner(title: str) -> Iterator[None]:
    """Show a title and a spinner in place of the bars that libraries draw."""
    from rich.console import Console

    console = Console(file=sys.stderr)  # bound here, before it is taken away from everybody else
    status = console.status(title) if console.is_terminal else contextlib.nullcontext()
    # The reader of GGUF files draws its bar with tqdm itself, which no switch of transformers reaches.
    with no_progress_bars(), contextlib.redirect_stderr(io.StringIO()), status:
        yield


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing bars, and give them back afterwards."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
