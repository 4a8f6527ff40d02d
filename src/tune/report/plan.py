"""What `python -m tune plan` prints."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune.config.schema import ReportFormat
from tune.track.plan_record import DiskRecord, PlanRecord, SizeRecord, TimeRecord
from tune.track.records import duration

_SMALL_GIB = 0.1


def print_plan(plan: PlanRecord, form: ReportFormat, console: Console) -> None:
    """Print a plan to standard output."""
    if form is ReportFormat.json:
        print(json.dumps(plan.to_json(), indent=2))  # noqa: T201 - standard output is the interface
        return
    console.print(Text.assemble((plan.name, "bold"), f"  {plan.question}"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name, words in _rows(plan):
        table.add_row(name, words)
    console.print(table)
    for note in plan.notes:
        console.print(Text.assemble(("note: ", "yellow"), note))
    console.print("Nothing was kept." if plan.time else "Nothing was trained.")


def _rows(plan: PlanRecord) -> Iterator[tuple[str, str]]:
    if plan.objectives:
        yield "objectives" if len(plan.objectives) > 1 else "objective", ", ".join(plan.objectives)
    for number, words in enumerate(plan.space):
        yield ("space" if number == 0 else "", words)
    if plan.sampler:
        yield "points", "no end of them" if plan.n_points is None else f"{plan.n_points:,}"
        yield "trials", f"{plan.n_trials:,} ({plan.sampler}), {plan.n_workers} at once"
    for number, point in enumerate(plan.first):
        yield ("first" if number == 0 else "", _point(point))
    yield from _memory(plan)
    if plan.time:
        yield from _time(plan.time)
    for number, row in enumerate(plan.disk):
        yield ("disk" if number == 0 else "", _disk(row))
    yield ("" if plan.disk else "disk"), f"{plan.free_gib:.1f} GiB free"
    for number, out in enumerate(plan.left_out):
        yield ("not run" if number == 0 else "", f"{out.n:,} of {out.of:,} {out.unit}: {out.why}")
    if not plan.left_out:
        yield "not run", "nothing is left out"


def _memory(plan: PlanRecord) -> Iterator[tuple[str, str]]:
    for size in plan.sizes:
        yield size.name, f"{_peak(size)} on a {plan.place}, {_trained(size)}: {_point(size.point)}"
    if plan.sizes:
        yield "limit", "not known" if plan.limit_gib is None else f"{plan.limit_gib:.1f} GiB a worker"
    if plan.on_gpu:
        yield "on a GPU", ", ".join(f"{_peak(size)} {size.name}" for size in plan.on_gpu)


def _time(time: TimeRecord) -> Iterator[tuple[str, str]]:
    step = f"{time.step_low_s:.2g} to {time.step_high_s:.2g} s a step"
    trial = f"{duration(time.trial_low_s)} to {duration(time.trial_high_s)} a trial"
    yield "time", f"{duration(time.total_low_s)} to {duration(time.total_high_s)} in all; {step}, {trial}"
    yield "", f"measured in {duration(time.probe_s)} on a few steps and a part of the questions, and scaled up"
    if time.cost_low is not None and time.cost_high is not None:
        yield "cost", f"{time.cost_low:.2f} to {time.cost_high:.2f}"


def _point(point: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in point.items()
    )


def _peak(size: SizeRecord) -> str:
    return f"{size.peak_gib:.1f} GiB ({size.peak_gib * 1024**3 / 10**9:.1f} GB)"


def _trained(size: SizeRecord) -> str:
    return f"{size.trainable:,} parameters trained ({100 * size.share:.2f} %)"


def _disk(row: DiskRecord) -> str:
    low, high = _amount(row.low_gib), _amount(row.high_gib)
    return f"{row.what} {low}" if low == high else f"{row.what} {low} to {high}"


def _amount(gib: float) -> str:
    return f"{gib:.1f} GiB" if gib >= _SMALL_GIB else f"{gib * 1024:.3g} MiB"
