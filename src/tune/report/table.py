"""A study as people read it: one row a trial, best first, every change with its interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune.report.front import front_of
from tune.track.records import StudyRecord, TrialRecord
from tune.track.repeats import PointRecord, ranked_points, seed_noise

_MOST_WAITING = 4


def print_study(study: StudyRecord, console: Console) -> None:
    """Print the leaderboard, what failed, and what the base scores."""
    points = ranked_points(study) if study.seeds else []
    ranked = [replace(point.trials[0], metrics=point.means()) for point in points] or study.ranked()
    percent = round(study.confidence * 100)
    console.print(Text.assemble("\n", (study.name, "bold"), f"  {study.question}"))
    counts = ", ".join(f"{n} {state}" for state, n in study.counts().items() if n)
    console.print(
        f"{study.done} of {study.n_trials} trials ended ({counts or 'none started'}); "
        f"{study.aim}\n"
        + (f"{study.n_rejected} more were drawn and not run, because sweep.reject has them\n" * (study.n_rejected > 0))
    )
    if ranked:
        front, columns = front_of(study, ranked, points), _columns(study, ranked, percent)
        if front:
            columns.insert(2, _Column(head="Pareto", cells=front.cells))
        columns = _with_seeds(columns, points, study) if points else columns
        _print_fitting(columns, console, n_best=front.size if front else 1)
        if front:
            console.print(front.line)
        console.print(_base_line(ranked[0]))
    for objective in study.objectives:
        if noise := _noise_line(points, study, objective.metric):
            console.print(noise)
    if study.is_out_of_budget:
        console.print(_budget_line(study))
    for trial in study.without_result():
        failed = (f"trial {trial.number} {trial.state} ({trial.reason})", "red")
        console.print(Text.assemble(failed, f" {_point(trial)}: {trial.message}"))
    for line in _pruned_lines(study):
        console.print(line)
    for note in sorted({note for trial in study.trials for note in trial.notes}):
        console.print(f"note: {note}")


def _budget_line(study: StudyRecord) -> str:
    waiting = [trial for trial in study.trials if trial.state == "waiting"]
    points = "; ".join(f"trial {trial.number} ({_point(trial)})" for trial in waiting[:_MOST_WAITING])
    more = f" and {len(waiting) - _MOST_WAITING} more" if len(waiting) > _MOST_WAITING else ""
    queue = f" In the queue: {points}{more}." if waiting else ""
    return (
        f"study.budget is used: it ran {study.spent_s:.0f} s of {study.budget_s:.0f} s, and "
        f"{study.n_trials - study.done} of {study.n_trials} trials have not been run to their end.{queue} "
        "Give the same command with a larger study.budget to go on."
    )


def print_metrics(metrics: dict[str, float], console: Console) -> None:
    """Print one trial's metrics: the adapted model, its base, and the change with the half-width of its interval."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("metric", "base", "adapted", "change"):
        table.add_column(column, justify="left" if column == "metric" else "right", no_wrap=True)
    for name, value in metrics.items():
        if "_delta" in name or name.endswith("_base") or "/delta" in name:
            continue
        base = metrics.get(f"{name}_base")
        change = _change(metrics, name) or ("" if base is None else f"{value - base:+.3f}")
        table.add_row(name, "" if base is None else _number(base), _number(value), change)
    console.print(table)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Column:
    """A column of the leaderboard."""

    head: str
    cells: list[str]
    rank: int = 0
    """Columns of a higher rank are left out first where the terminal is narrow; 0 stays."""

    @property
    def width(self) -> int:
        return max(len(line) for text in (self.head, *self.cells) for line in text.split("\n"))


def _columns(study: StudyRecord, ranked: list[TrialRecord], percent: int) -> list[_Column]:
    """Return the leaderboard, best trial first."""

    def column(head: str, cell: Callable[[TrialRecord], str], rank: int = 0) -> _Column:
        return _Column(head=head, cells=[cell(trial) for trial in ranked], rank=rank)

    def parameter(key: str) -> Callable[[TrialRecord], str]:
        return lambda trial: _chosen(trial.parameters.get(key))

    def objective(metric: str) -> Callable[[TrialRecord], str]:
        return lambda trial: _number(trial.metrics[metric])

    def change(name: str) -> Callable[[TrialRecord], str]:
        return lambda trial: _change(trial.metrics, name)

    heads = _heads(ranked)
    return [
        _Column(head="", cells=[str(place) for place in range(1, len(ranked) + 1)]),
        column("trial", lambda trial: str(trial.number)),
        *(column(head, parameter(key)) for key, head in heads.items()),
        *(column(_head(one.metric), objective(one.metric)) for one in study.objectives),
        *(
            column(f"{label}\n±{percent} %", change(name), rank=2 if "logprob" in name else 0)
            for label, name in _deltas(ranked[0].metrics)
        ),
        column("eval\nloss", lambda trial: _number(trial.metrics["eval/loss"]), rank=1),
        column("perp-\nlexity", lambda trial: _number(trial.metrics.get("perplexity/domain")), rank=3),
        column("sec-\nonds", lambda trial: f"{trial.metrics['cost/seconds']:.0f}", rank=4),
    ]


def _heads(trials: Sequence[TrialRecord]) -> dict[str, str]:
    """Return the head of every key that varies, also of those that exist at some points only."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.parameters))
    lasts = [key.rsplit(".", 1)[-1] for key in keys]
    shown = [last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True)]
    return {key: head.replace("_", "\n").replace(".", ".\n") for key, head in zip(keys, shown, strict=True)}


def _head(metric: str) -> str:
    return metric.replace("/", "/\n")


def _pruned_lines(study: StudyRecord) -> list[str]:
    """Return what the study's pruner stopped, and where; such trials have no scores and no rank."""
    stopped = study.pruned()
    lines = [
        f"  trial {trial.number} after step {trial.pruned_step}, eval loss {_number(trial.metrics['eval/step_loss'])}: "
        f"{_point(trial)}"
        for trial in stopped
    ]
    return [f"{len(stopped)} pruned, by their validation loss on the way; they have no rank", *lines] if lines else []


def _with_seeds(columns: list[_Column], points: Sequence[PointRecord], study: StudyRecord) -> list[_Column]:
    """Return the columns with the trials of each point, how many seeds it has, and how far those lie apart."""
    trials = _Column(head="trials", cells=[", ".join(str(trial.number) for trial in point.trials) for point in points])
    seeds = _Column(head="seeds", cells=[f"{len(point.trials)}/{len(study.seeds)}" for point in points])
    place, _, *others = columns
    heads = [column.head for column in others]
    last = max(heads.index(_head(objective.metric)) for objective in study.objectives) + 1
    spreads = [_spread(points, one.metric, is_alone=not study.others) for one in study.objectives]
    return [place, trials, *others[:last], seeds, *spreads, *others[last:]]


def _spread(points: Sequence[PointRecord], metric: str, *, is_alone: bool) -> _Column:
    spreads = [point.spread(metric) for point in points]
    of = "seeds" if is_alone else metric.rpartition("/")[2]
    return _Column(head=f"sd of\n{of}", cells=["" if spread is None else _number(spread) for spread in spreads])


def _noise_line(points: Sequence[PointRecord], study: StudyRecord, metric: str) -> str | None:
    """Return what the seed alone does to an objective, and whether the best two points can be told apart all the same.

    With several objectives there are no best two: the front is not in one order.
    """
    noise = seed_noise(points, metric, confidence=study.confidence)
    if noise is None:
        return None
    all_seeds = noise.least_difference(len(study.seeds), len(study.seeds))
    line = (
        f"seed noise: {metric} has a standard deviation of {_number(noise.deviation)} between seeds of a point "
        f"({noise.n_points} point{'s' * (noise.n_points > 1)}); means over {len(study.seeds)} seeds that differ by "
        f"less than {_number(all_seeds)} cannot be told apart at {round(study.confidence * 100)} %"
    )
    if len(points) > 1 and not study.others:
        first, second = points[:2]
        gap = abs(first.mean(metric) - second.mean(metric))
        can = "can" if gap > noise.least_difference(len(first.trials), len(second.trials)) else "cannot"
        line += f". The first two differ by {_number(gap)}: they {can} be told apart"
    return f"{line}."


def _print_fitting(columns: list[_Column], console: Console, *, n_best: int) -> None:
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


def _deltas(metrics: dict[str, float]) -> list[tuple[str, str]]:
    """Return (label, metric) of the changes that are shown: the task's and general knowledge's."""
    known = (
        ("task change", "task/score"),
        ("probe change", "general/probe/acc"),
        ("probe log-prob", "general/probe/logprob"),
        ("MMLU change", "mmlu/acc"),
        ("MMLU log-prob", "mmlu/logprob"),
    )
    return [(label, name) for label, name in known if name in metrics]


def _change(metrics: dict[str, float], name: str) -> str:
    prefix = name.removesuffix("/acc") + "/delta" if name.endswith("/acc") else f"{name}_delta"
    if prefix not in metrics:
        return ""
    text = f"{metrics[prefix]:+.3f}"
    low, high = metrics.get(f"{prefix}_low"), metrics.get(f"{prefix}_high")
    # Intervals here are a mean with a reach to both sides, so the reach says all in half the room.
    return text if low is None or high is None else f"{text} ±{(high - low) / 2:.3f}"


def _base_line(trial: TrialRecord) -> str:
    shown = [
        f"{name.removesuffix('_base')} {_number(value)}"
        for name, value in trial.metrics.items()
        if name.endswith("_base")
    ]
    return f"base: {', '.join(shown)}"


def _point(trial: TrialRecord) -> str:
    return " ".join(f"{key.rsplit('.', 1)[-1]}={_chosen(value)}" for key, value in trial.parameters.items())


def _chosen(value: Any) -> str:
    """Return a value of the space; rates of 0.0013 and 0.0008 are not both 0.001."""
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else _number(value)  # noqa: PLR2004


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if abs(value) >= 1e6:  # noqa: PLR2004
        return f"{value:.3g}"
    if abs(value) >= 1000:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.3g}"  # noqa: PLR2004
