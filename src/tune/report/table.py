"""A study as people read it: one row a trial, best first, every change with its interval."""

from typing import Any

from rich.console import Console
from rich.table import Table

from tune.track.records import StudyRecord, TrialRecord


def print_study(study: StudyRecord, console: Console) -> None:
    """Print the leaderboard, what failed, and what the base scores."""
    ranked = study.ranked()
    percent = round(study.confidence * 100)
    console.print(f"\n[bold]{study.name}[/]  {study.question}")
    counts = ", ".join(f"{n} {state}" for state, n in study.counts().items() if n)
    console.print(
        f"{study.done} of {study.n_trials} trials ended ({counts or 'none started'}); "
        f"{study.direction} {study.metric}\n"
    )
    if ranked:
        console.print(_leaderboard(study, ranked, percent))
        console.print(_base_line(ranked[0]))
    for trial in study.trials:
        if trial.state == "failed":
            console.print(f"[red]trial {trial.number} failed ({trial.reason})[/] {_point(trial)}: {trial.message}")
    for note in sorted({note for trial in study.trials for note in trial.notes}):
        console.print(f"note: {note}")


def one_line(study: StudyRecord, trial: TrialRecord) -> str:
    """Return what happened to a trial in one line."""
    if trial.state != "complete":
        return f"trial {trial.number}  {_point(trial)}  FAILED ({trial.reason}) {trial.message}"
    shown = [f"{study.metric} {_number(trial.metrics[study.metric])}"]
    shown += [f"{label} {_change(trial.metrics, name)}" for label, name in _deltas(trial.metrics)]
    shown += [f"eval loss {_number(trial.metrics['eval/loss'])}", f"{trial.metrics['cost/seconds']:.0f} s"]
    return f"trial {trial.number}  {_point(trial)}  " + "  ".join(shown)


def print_metrics(metrics: dict[str, float], console: Console) -> None:
    """Print one trial's metrics: the adapted model, its base, and the change."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("metric", "base", "adapted", "change"):
        table.add_column(column, justify="left" if column == "metric" else "right", no_wrap=True)
    for name, value in metrics.items():
        if "_delta" in name or name.endswith("_base") or "/delta" in name:
            continue
        base = metrics.get(f"{name}_base")
        table.add_row(name, "" if base is None else _number(base), _number(value), _change(metrics, name))
    console.print(table)


def _leaderboard(study: StudyRecord, ranked: list[TrialRecord], percent: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    keys = list(ranked[0].parameters)
    for name in ("", "trial", *(key.rsplit(".", 1)[-1] for key in keys), study.metric):
        table.add_column(name, justify="right", no_wrap=True)
    deltas = _deltas(ranked[0].metrics)
    for label, _ in deltas:
        table.add_column(f"{label} [{percent} %]", justify="right", no_wrap=True)
    for name in ("eval loss", "perplexity", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for place, trial in enumerate(ranked, start=1):
        metrics = trial.metrics
        row = [str(place), str(trial.number), *(_number(trial.parameters.get(key)) for key in keys)]
        row += [_number(metrics[study.metric]), *(_change(metrics, name) for _, name in deltas)]
        row += [
            _number(metrics["eval/loss"]),
            _number(metrics.get("perplexity/domain")),
            f"{metrics['cost/seconds']:.0f}",
        ]
        table.add_row(*row, style="bold green" if place == 1 else None)
    return table


def _deltas(metrics: dict[str, float]) -> list[tuple[str, str]]:
    """Return (label, metric) of the changes that are shown: the task's and general knowledge's."""
    known = (("task change", "task/score"), ("probe change", "general/probe/acc"), ("MMLU change", "mmlu/acc"))
    return [(label, name) for label, name in known if name in metrics]


def _change(metrics: dict[str, float], name: str) -> str:
    prefix = name.removesuffix("/acc") + "/delta" if name.endswith("/acc") else f"{name}_delta"
    if prefix not in metrics:
        return ""
    text = f"{metrics[prefix]:+.3f}"
    low, high = metrics.get(f"{prefix}_low"), metrics.get(f"{prefix}_high")
    return text if low is None or high is None else f"{text} [{low:+.3f}, {high:+.3f}]"


def _base_line(trial: TrialRecord) -> str:
    shown = [
        f"{name.removesuffix('_base')} {_number(value)}"
        for name, value in trial.metrics.items()
        if name.endswith("_base")
    ]
    return f"base: {', '.join(shown)}"


def _point(trial: TrialRecord) -> str:
    return " ".join(f"{key.rsplit('.', 1)[-1]}={_number(value)}" for key, value in trial.parameters.items())


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.3g}"  # noqa: PLR2004
    return "" if value is None else str(value)
