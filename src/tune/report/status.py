"""Where a study stands: trials by state, who runs what since when, and how long it may take."""

import time

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune.track.records import StudyRecord, duration


def print_status(study: StudyRecord, console: Console) -> None:
    """Print how far a study is."""
    counts = ", ".join(f"{n} {state}" for state, n in study.counts().items() if n)
    left = study.seconds_left()
    console.print(Text.assemble((study.name, "bold"), f"  {study.question}"))
    console.print(
        f"{study.done} of {study.n_trials} trials ended ({counts or 'none started'})"
        + (f"; about {duration(left)} left" if left is not None else "")
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("trial", "attempt", "since", "doing", "host", "process", "what varies"):
        table.add_column(head, overflow="fold")
    for trial in study.trials:
        if trial.state == "running":
            place, pid, _ = (trial.worker or "? ? ?").rsplit(" ", 2)
            host = place.rpartition("/")[0] or place
            since = duration(time.time() - trial.started) if trial.started else "?"
            point = " ".join(f"{key}={value}" for key, value in trial.parameters.items())
            table.add_row(str(trial.number), str(trial.attempt), since, trial.doing, host, pid, point)
    if table.row_count:
        console.print(table)
    for trial in study.pruned():
        console.print(f"trial {trial.number} pruned: {trial.message}")
    for trial in study.without_result():
        console.print(f"trial {trial.number} {trial.state} ({trial.reason}): {trial.message}")
