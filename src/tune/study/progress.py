"""What a person sees while a study runs: a summary, what goes on now, and a line a finished trial."""

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from tune.track.records import StudyRecord, TrialRecord, duration

_QUIET_S = 60
"""How often a line is printed where the output is no terminal."""


class Screen:
    """Prints to standard error, so that standard output stays for results."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False)
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
        self.console.print(Text.assemble(("tune", "bold"), "  study ", (title, "bold")))
        self.console.print(table)

    def warn(self, text: str) -> None:
        """Print what went otherwise than hoped, and a way out."""
        self.console.print(Text.assemble(("note: ", "yellow"), text), soft_wrap=True)

    def ended(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Print one line for a trial that has ended."""
        point = " ".join(f"{key.rsplit('.', 1)[-1]}={_short(value)}" for key, value in trial.parameters.items())
        if study.seeds:
            point += f" seed={trial.seed}"
        if trial.state == "complete":
            metrics = trial.metrics
            shown = "  ".join(_results(study, metrics))
            word, text = ("done", "green"), f"    {shown}  {metrics['cost/seconds']:.0f} s"
        elif trial.state == "pruned":
            word, text = ("pruned", "yellow"), f"  {trial.message}"
        else:
            word, text = (trial.state, "red"), f"  {trial.reason}: {trial.message}"
        start = f"[{study.done}/{study.n_trials}] trial {trial.number}  {point}  "
        self.console.print(Text.assemble(start, word, text), soft_wrap=True)

    def moved(self, study: StudyRecord) -> None:
        """Show what each running trial does, and how long it may take."""
        doing = [f" · {trial.number}: {trial.doing}" for trial in study.trials if trial.state == "running"]
        text = f"{study.done}/{study.n_trials} trials{''.join(doing)}"
        left = study.seconds_left()
        text += f" · about {duration(left)} left" if left is not None else ""
        if self._status:
            self._status.update(Text(text))
        elif time.monotonic() - self._said > _QUIET_S:
            self._said = time.monotonic()
            self.console.print(text, soft_wrap=True)


_DELTAS = ("task/score_delta", "general/probe/delta", "mmlu/delta")


def _results(study: StudyRecord, metrics: Mapping[str, float]) -> Iterator[str]:
    """Yield what is searched for, what is guarded with whether it is kept, and further changes."""
    searched, guarded = ([one.metric for one in some] for some in (study.objectives, study.guards))
    yield from (f"{name} {_result(metrics[name])}" for name in searched)
    for name in _DELTAS:
        if name in metrics and name not in (*searched, *guarded):
            yield f"{name} {metrics[name]:+.3f}"
    yield from (f"{one.metric} {metrics[one.metric]:+.3g} {one.judge_metrics(metrics).word}" for one in study.guards)


def _result(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - a cost


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
