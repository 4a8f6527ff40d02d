"""Rows by their names, and where a split puts them."""

from collections.abc import Sequence

from hypothesis import strategies as st

from tune.data.split import Parts, split_rows
from tune.examples import Example, Message

SEEDS = st.integers(0, 10_000)


def row(name: object, *, label: str | None = None, group: str | None = None) -> Example:
    return Example(
        id=f"rows.jsonl/{name}",
        messages=(Message(role="user", content=f"question {name}"),),
        answer=f"answer {name}",
        label=label,
        group=group,
    )


def plain(n: int, start: int = 0) -> list[Example]:
    return [row(i) for i in range(start, start + n)]


def split(
    rows: Sequence[Example],
    *,
    validation: float | None = 0.2,
    test: float | None = 0.2,
    seed: int = 0,
    clusters: Sequence[int] | None = None,
) -> Parts:
    return split_rows(rows, clusters or range(len(rows)), validation=validation, test=test, seed=seed)


def places(rows: Sequence[Example], parts: Parts) -> dict[str, str]:
    names = ("train", "validation", "test")
    found = [(rows[i].answer, name) for name in names for i in getattr(parts, name)]
    return dict(found)


def moved(before: dict[str, str], after: dict[str, str]) -> int:
    return sum(after[answer] != place for answer, place in before.items())


def labelled(**sizes: int) -> list[Example]:
    return [row(f"{label} {i}", label=label) for label, size in sizes.items() for i in range(size)]
