"""A study as people read it: one row a trial, best first, every change with its interval."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune.config.metrics import BEST_STEP, MADE_STEPS, PLANNED_STEPS
from tune.report.columns import Column, print_fitting
from tune.report.front import front_of
from tune.report.guards import guard_column, guard_lines
from tune.report.verdict import print_verdict
from tune.track.records import StudyRecord, TrialRecord
from tune.track.repeats import PointRecord, ranked_points, seed_noise

_MOST_WAITING = 4
_RANKS = {"logprob": 2, "general": 1}
"""Changes that are left out where the terminal is narrow, by the last part of their names."""

_COUNTED = "reply/"
"""Counts of what is odd in replies; where nothing is, nothing is said."""
_LOPSIDED = 0.001  # how far the halves of an interval may differ and still be one number of three decimals


def print_study(study: StudyRecord, console: Console) -> None:
    """Print the leaderboard, what failed, and what the base scores."""
    points = ranked_points(study) if study.seeds else []
    ranked = [replace(point.trials[0], metrics=point.means()) for point in points] or study.ranked()
    console.print(Text.assemble("\n", (study.name, "bold"), f"  {study.question}"))
    counts = ", ".join(f"{n} {state}" for state, n in study.counts().items() if n)
    console.print(
        f"{study.done} of {study.n_trials} trials ended ({counts or 'none started'}); "
        f"{study.aim}\n"
        + (f"{study.n_rejected} more were drawn and not run, because sweep.reject has them\n" * (study.n_rejected > 0))
    )
    if ranked:
        _print_leaderboard(study, ranked, points, console)
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
    print_verdict(study, console)


def _print_leaderboard(
    study: StudyRecord, ranked: list[TrialRecord], points: list[PointRecord], console: Console
) -> None:
    front, columns = front_of(study, ranked, points), _columns(study, ranked, round(study.confidence * 100))
    if front:
        columns.insert(2, Column(head="Pareto", cells=front.cells))
    columns = _with_seeds(columns, points, study) if points else columns
    print_fitting(columns, console, n_best=front.size if front else 1)
    for line in (*([front.line] if front else ()), *guard_lines(study, ranked), _base_line(ranked[0])):
        console.print(line)


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
    """Print one trial's metrics: the adapted model, its base, and the change with its interval.

    Where it might have ended early, a sentence says how many steps it made and which weights it kept.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("metric", "base", "adapted", "change"):
        table.add_column(column, justify="left" if column == "metric" else "right", no_wrap=True)
    for name, value in metrics.items():
        if "_delta" in name or name.endswith("_base") or "/delta" in name or name in {BEST_STEP, PLANNED_STEPS}:
            continue
        base = metrics.get(f"{name}_base")
        if name.startswith(_COUNTED) and not value and not base:
            continue
        change = _change(metrics, name, ends=True) or ("" if base is None else f"{value - base:+.3f}")
        table.add_row(name, "" if base is None else _number(base), _number(value), change)
    console.print(table)
    if BEST_STEP in metrics:
        console.print(_kept_line(metrics))


def _columns(study: StudyRecord, ranked: list[TrialRecord], percent: int) -> list[Column]:
    """Return the leaderboard, best trial first."""

    def column(head: str, cell: Callable[[TrialRecord], str], rank: int = 0) -> Column:
        return Column(head=head, cells=[cell(trial) for trial in ranked], rank=rank)

    def parameter(key: str) -> Callable[[TrialRecord], str]:
        return lambda trial: _chosen(trial.parameters.get(key))

    def objective(metric: str) -> Callable[[TrialRecord], str]:
        return lambda trial: _number(trial.metrics[metric])

    def change(name: str) -> Callable[[TrialRecord], str]:
        return lambda trial: _change(trial.metrics, name)

    heads = _heads(ranked)
    return [
        Column(head="", cells=[str(place) for place in range(1, len(ranked) + 1)]),
        column("trial", lambda trial: str(trial.number)),
        *(column(head, parameter(key)) for key, head in heads.items()),
        *(column(_head(one.metric), objective(one.metric)) for one in study.objectives),
        *guard_column(study, ranked),
        *(
            column(f"{label}\n±{percent} %", change(name), rank=_RANKS.get(name.rpartition("/")[2], 0))
            for label, name in _deltas(ranked[0].metrics)
        ),
        column("eval\nloss", lambda trial: _number(trial.metrics["eval/loss"]), rank=1),
        *([column("best/\nsteps", _steps, rank=2)] if any(BEST_STEP in trial.metrics for trial in ranked) else []),
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


def _kept_line(metrics: dict[str, float]) -> str:
    """Return how many steps a trial that may end early made, and which weights it kept."""
    made, planned, best = (int(metrics[name]) for name in (MADE_STEPS, PLANNED_STEPS, BEST_STEP))
    end = f"it ended early, after step {made} of {planned}" if made < planned else f"it made all {planned} steps"
    return f"{end}; the weights after step {best} had the lowest eval loss and were kept"


def _steps(trial: TrialRecord) -> str:
    """Return the step of the weights that were kept, and how many were made."""
    if BEST_STEP not in trial.metrics:
        return ""
    return f"{trial.metrics[BEST_STEP]:.0f}/{trial.metrics[MADE_STEPS]:.0f}"


def _pruned_lines(study: StudyRecord) -> list[str]:
    """Return what the study's pruner stopped, and where; such trials have no scores and no rank."""
    stopped = study.pruned()
    lines = [
        f"  trial {trial.number} after step {trial.pruned_step}, eval loss {_number(trial.metrics['eval/step_loss'])}: "
        f"{_point(trial)}"
        for trial in stopped
    ]
    return [f"{len(stopped)} pruned, by their validation loss on the way; they have no rank", *lines] if lines else []


def _with_seeds(columns: list[Column], points: Sequence[PointRecord], study: StudyRecord) -> list[Column]:
    """Return the columns with the trials of each point, how many seeds it has, and how far those lie apart."""
    trials = Column(head="trials", cells=[", ".join(str(trial.number) for trial in point.trials) for point in points])
    seeds = Column(head="seeds", cells=[f"{len(point.trials)}/{len(study.seeds)}" for point in points])
    place, _, *others = columns
    heads = [column.head for column in others]
    last = max(heads.index(_head(objective.metric)) for objective in study.objectives) + 1
    spreads = [_spread(points, one.metric, is_alone=not study.others) for one in study.objectives]
    return [place, trials, *others[:last], seeds, *spreads, *others[last:]]


def _spread(points: Sequence[PointRecord], metric: str, *, is_alone: bool) -> Column:
    spreads = [point.spread(metric) for point in points]
    of = "seeds" if is_alone else metric.rpartition("/")[2]
    return Column(head=f"sd of\n{of}", cells=["" if spread is None else _number(spread) for spread in spreads])


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


def _deltas(metrics: dict[str, float]) -> list[tuple[str, str]]:
    """Return (label, metric) of the changes that are shown: the task's and general knowledge's."""
    known = (
        ("task change", "task/score"),
        ("probe change", "general/probe/acc"),
        ("probe log-prob", "general/probe/logprob"),
        ("MMLU change", "mmlu/acc"),
        ("MMLU log-prob", "mmlu/logprob"),
        ("general perplexity", "perplexity/general"),
    )
    return [(label, name) for label, name in known if name in metrics]


def _change(metrics: dict[str, float], name: str, *, ends: bool = False) -> str:
    """Return a change with half the width of its interval or, where the halves differ, with both ends."""
    own = f"{name}_delta"
    prefix = own if own in metrics else f"{name.rpartition('/')[0]}/delta"  # of a test's one score, as in mmlu/delta
    if prefix not in metrics:
        return ""
    text = f"{metrics[prefix]:+.3f}"
    low, high = metrics.get(f"{prefix}_low"), metrics.get(f"{prefix}_high")
    if low is None or high is None:
        return text
    lopsided = abs(low + high - 2 * metrics[prefix]) > _LOPSIDED
    return f"{text} [{low:+.3f}, {high:+.3f}]" if ends and lopsided else f"{text} ±{(high - low) / 2:.3f}"


def _base_line(trial: TrialRecord) -> str:
    shown = [
        f"{name.removesuffix('_base')} {_number(value)}"
        for name, value in trial.metrics.items()
        if name.endswith("_base") and (value or not name.startswith(_COUNTED))
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
