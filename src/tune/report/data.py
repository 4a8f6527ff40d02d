"""A data set as people read it: what was read, what went and why, how it is divided, and what exactly is learned."""

import dataclasses
import json
import re
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune.config.schema import ReportFormat
from tune.data.account import Taken
from tune.data.tokens import TokenTable
from tune.trial.inspect import Inspected

_N_BARS = 10
_BAR = 40
_N_LABELS = 8

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What a terminal would obey or cannot be sent: rows are shown because they hold it. Line breaks and tabs may pass."""


def print_data(found: Inspected, form: ReportFormat, console: Console) -> None:
    """Print a data set to standard output."""
    if form is ReportFormat.json:
        print(json.dumps(plain(found), indent=2))  # noqa: T201 - standard output is the interface
        return
    account, splits = found.splits.account, found.splits
    console.print(Text.assemble(("read      ", "bold"), account.source), soft_wrap=True)
    if account.taken:
        _print_steps(account.taken, console)
    _print_cases(tuple(dataclasses.replace(step, step=f"kept: {step.step}") for step in account.noted), console)
    _print_splits(found, console)
    _print_lengths(found.tokens, console)
    _print_examples(found.tokens, console)
    for note in (*account.notes, *found.advice):
        console.print(Text.assemble(("note: ", "yellow"), note), soft_wrap=True)
    console.print()
    for name, value in (*splits.digests.items(), ("tokens", found.tokens.name)):
        console.print(Text.assemble((f"{name:12}", "bold"), value), soft_wrap=True)


def plain(found: Inspected) -> dict[str, Any]:
    """Return what is printed as plain data, for other programs."""
    splits, tokens = found.splits, found.tokens
    return {
        **splits.account.to_json(),
        "splits": {name: len(getattr(splits, name)) for name in ("train", "validation", "test")},
        "tokens": {
            "in_all": tokens.n_tokens,
            "learned": tokens.n_learned,
            "longest": int(tokens.lengths.max()),
            "max_length": tokens.max_length,
            "left_out": tokens.n_left_out,
        },
        "advice": list(found.advice),
        "fingerprint": {**splits.digests, "tokens": tokens.name},
    }


def visible(text: str) -> str:
    """Return a text of the rows as a terminal may show it: control characters and halves of pairs are escaped."""
    return _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)


def _print_steps(steps: tuple[Taken, ...], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("taken out")
    table.add_column("rows", justify="right")
    table.add_column("setting", style="dim", no_wrap=True)
    for step in steps:
        table.add_row(step.step, f"{step.count:,}", step.setting)
    console.print()
    console.print(table)
    _print_cases(steps, console)


def _print_cases(steps: tuple[Taken, ...], console: Console) -> None:
    for step in steps:
        if step.cases:
            console.print(Text(f"\n{step.step}, the first {len(step.cases)} of {step.count:,}:", "bold"))
        for case in step.cases:
            why = f" ({case.why})" if case.why else ""
            words = visible(f"{why}: {case.text}")
            console.print(Text.assemble("  ", (visible(case.id), "cyan"), words), soft_wrap=True)


def _print_splits(found: Inspected, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("split", "rows", "of"):
        table.add_column(column, justify="left" if column == "split" else "right")
    table.add_column("classes, largest first", overflow="fold")
    for name in ("train", "validation", "test"):
        rows = getattr(found.splits, name)
        labels = Counter(row.label for row in rows if row.label is not None)
        table.add_row(name, f"{len(rows):,}", f"{found.splits.account.held.get(name, len(rows)):,}", _classes(labels))
    console.print()
    console.print(table)


def _classes(labels: Counter[str]) -> str:
    if not labels:
        return ""
    shown = ", ".join(f"{label} {n:,}" for label, n in labels.most_common(_N_LABELS))
    return visible(f"{shown}, and {len(labels) - _N_LABELS} more" if len(labels) > _N_LABELS else shown)


def _print_lengths(tokens: TokenTable, console: Console) -> None:
    lengths = tokens.lengths
    console.print(Text("\ntokens of a training example", "bold"))
    for low, high, n in histogram(lengths):
        bar = "█" * round(_BAR * n / len(lengths)) or ("▏" if n else "")
        over = "  too long in part" if low <= tokens.max_length < high else ""
        over = "  too long" if low > tokens.max_length else over
        console.print(f"{low:>6} to {high:<6} {n:>8,}  {bar}{over}")
    console.print(
        f"median {int(np.median(lengths)):,}, longest {int(lengths.max()):,}; {tokens.n_tokens:,} tokens in all, "
        f"{tokens.n_learned:,} of them learned",
        soft_wrap=True,
    )
    longer = f"longer than train.max_length={tokens.max_length}"
    if tokens.n_left_out:
        line = f"{tokens.n_left_out:,} of {len(lengths):,} are {longer} and left out: cut off, they would have no end"
    else:
        line = f"none is {longer}"
    console.print(line, soft_wrap=True)


def histogram(lengths: NDArray[np.int32]) -> list[tuple[int, int, int]]:
    """Return (shortest, longest, how many) of up to ten equal ranges of whole numbers that hold all lengths."""
    low, high = int(lengths.min()), int(lengths.max())
    step = -(-(high - low + 1) // _N_BARS)
    edges = range(low, high + 1, step)
    return [(edge, edge + step - 1, int(((lengths >= edge) & (lengths < edge + step)).sum())) for edge in edges]


def _print_examples(tokens: TokenTable, console: Console) -> None:
    shown = "green" if console.color_system else "between « and »"
    console.print(Text(f"\n{len(tokens.preview)} training examples; what is learned is {shown}", "bold"))
    for number, pieces in enumerate(tokens.preview, start=1):
        console.print(Text(f"{number}", "bold"))
        for piece, learned in pieces:
            text = visible(piece)
            if console.color_system:
                console.print(Text(text, "green" if learned else "dim"), end="", soft_wrap=True)
            else:
                console.print(f"«{text}»" if learned else text, end="", soft_wrap=True)
        console.print()
