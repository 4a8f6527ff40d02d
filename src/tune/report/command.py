"""What `python -m tune report NAME` prints, and what a study ends with."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tune.config.schema import ReportFormat
from tune.report.table import print_metrics, print_study
from tune.track.folder import ui_command
from tune.track.records import StudyRecord


def print_report(study: StudyRecord, form: ReportFormat) -> None:
    """Print a study to standard output."""
    if form is ReportFormat.json:
        print(json.dumps(study.to_json(), indent=2))  # noqa: T201 - standard output is the interface
        return
    print_study(study, _console())


def print_end(study: StudyRecord, runs: Path) -> None:
    """Print the leaderboard and what to do next."""
    console = _console()
    print_study(study, console)
    console.print("\nCompare the runs:      ", end="")
    console.print(ui_command(runs), soft_wrap=True)
    for best in study.ranked()[:1]:
        console.print("Repeat the best trial: ", end="")
        console.print(best.command, soft_wrap=True)
    console.print("Print this again:      ", end="")
    console.print(f"python -m tune report {study.name}")


def print_trial(metrics: dict[str, float], notes: Sequence[str], folder: Path) -> None:
    """Print what one trial found."""
    console = _console()
    print_metrics(metrics, console)
    for note in notes:
        console.print(f"note: {note}")
    console.print(f"\nAdapter and per-example scores: {folder}", soft_wrap=True)


def _console() -> Console:
    console = Console(highlight=False, markup=True)
    return console if console.is_terminal else Console(highlight=False, width=200)
