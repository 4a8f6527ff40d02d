"""What a person sees while a study runs: a summary, what goes on now, and a line a finished trial."""

import statistics
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.table import Table

from tune.track.records import StudyRecord, TrialRecord

_QUIET_S = 60
"""How often a line is printed where the output is no terminal."""


class Screen:
    """Prints to standard error, so that standard output stays for results."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._status = self.console.status("starting workers")
            self._status.start()
        else:
            self.console.print("starting workers")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def summary(self, rows: list[tuple[str, str]], *, title: str) -> None:
        """Print what is about to happen."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, words in rows:
            table.add_row(name, words)
        self.console.print(f"[bold]tune[/]  study [bold]{title}[/]")
        self.console.print(table)

    def ended(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Print one line for a trial that has ended."""
        point = " ".join(f"{key.rsplit('.', 1)[-1]}={_short(value)}" for key, value in trial.parameters.items())
        if trial.state == "complete":
            metrics = trial.metrics
            shown = [f"{study.metric} {metrics[study.metric]:.3f}"]
            shown += [f"{name} {metrics[name]:+.3f}" for name in _DELTAS if name in metrics]
            text = f"[green]done[/]    {'  '.join(shown)}  {metrics['cost/seconds']:.0f} s"
        else:
            text = f"[red]{trial.state}[/]  {trial.reason}: {trial.message}"
        self.console.print(f"[{study.done}/{study.n_trials}] trial {trial.number}  {point}  {text}", soft_wrap=True)

    def moved(self, study: StudyRecord, progress: dict[int, str]) -> None:
        """Show what each running trial does, and how long it may take."""
        text = f"{study.done}/{study.n_trials} trials" + "".join(f" · {n}: {words}" for n, words in progress.items())
        left = seconds_left(study, n_running=len(progress))
        text += f" · about {_duration(left)} left" if left is not None else ""
        if self._status:
            self._status.update(text)
        elif time.monotonic() - self._said > _QUIET_S:
            self._said = time.monotonic()
            self.console.print(text, soft_wrap=True)


def seconds_left(study: StudyRecord, *, n_running: int) -> float | None:
    """Return a guess at how long the study still takes; None while no trial has ended or none runs.

    The median trial, because the first one may have waited for the base to be measured; one that runs is half done.
    """
    costs = [trial.metrics["cost/seconds"] for trial in study.trials if trial.state == "complete"]
    if not costs or not n_running:
        return None
    return statistics.median(costs) * (study.n_trials - study.done - n_running / 2) / n_running


_DELTAS = ("task/score_delta", "general/probe/delta", "mmlu/delta")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
