"""Simulated studies of known truth: how often intervals cover it, a bad adapter is told to ship, a rank is wrong.

Every number passes through what a trial and a study call: score_delta, verdict and cheapest_not_worse.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune.config.guards import GuardConfig
from tune.evaluate.cheapest import cheapest_not_worse
from tune.evaluate.decide import JudgedGuard, Verdict, verdict
from tune.evaluate.difference import score_delta
from tune.evaluate.paired import Delta
from tune.evaluate.several import Candidate

STUDIES = 10_000
ALLOWED = 0.01
"""How far the share of intervals that cover may be from 95 %."""

NEAR = 5
"""So many times more studies where the share is near what is allowed."""

RANKS = (1, 2, 4, 8, 16)
HALF = 0.5
LONG = ("exponential", "lognormal")
TIES = {"two in three tie": 2 / 3, "four in five tie": 0.8}
"""Share of examples whose score does not change."""

Scores = NDArray[np.float64]
Random = np.random.Generator


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One kind of study."""

    name: str
    n: int
    truth: float
    """True change of the mean."""

    draw: Callable[[Random], tuple[Scores, Scores]]
    """Returns the scores of base and tuned, (N,) each."""

    clusters: NDArray[np.int64] | None = None


def answers(rate: float, shift: float, alike: float) -> tuple[float, float, float, float]:
    """Return the shares of both right, gained, lost and both wrong; `alike` is the correlation of the two answers."""
    after = rate + shift
    both = rate * after + alike * (rate * (1 - rate) * after * (1 - after)) ** 0.5
    return both, after - both, rate - both, 1 - rate - after + both


def binary_deltas(n: int, shares: tuple[float, ...], studies: int, random: Random) -> Iterator[tuple[Delta, int]]:
    """Yield each table's delta and how many studies had it: few tables differ."""
    tables, often = np.unique(random.multinomial(n, shares, size=studies), axis=0, return_counts=True)
    for table, times in zip(tables, often.tolist(), strict=True):
        yield score_delta(np.repeat([1.0, 0, 1, 0], table), np.repeat([1.0, 1, 0, 0], table)), times


def numbers(kind: str, n: int) -> Cell:
    """Return a cell of scores that are not 0 or 1; all kinds have a true change of 0.05."""
    centre = {"exponential": 1.0, "lognormal": float(np.exp(0.245))}

    def draw(random: Random) -> tuple[Scores, Scores]:
        base = random.beta(2, 2, size=n)
        if kind == "normal":
            return base, base + random.normal(0.05, 0.2, size=n)
        if kind == "heavy tails (t, 4)":
            return base, base + 0.05 + 0.1 * random.standard_t(4, size=n)
        if kind in TIES:
            moved = random.random(n) >= TIES[kind]
            return base, base + moved * (random.beta(2, 2, size=n) - 0.5 + 0.05 / (1 - TIES[kind]))
        long = random.exponential(size=n) if kind == "exponential" else np.exp(0.7 * random.normal(size=n))
        return base, base + 0.05 + 0.2 * (long - centre[kind])

    return Cell(name=kind, n=n, truth=0.05, draw=draw)


def sizes(kind: str, groups: int, n: int) -> NDArray[np.int64]:
    """Return the cluster of each question; MMLU's subjects differ fifteen times in size."""
    weights = np.ones(groups) if kind == "equal" else np.exp(np.linspace(0, 2.7, groups))
    counts = np.maximum(1, np.floor(weights / weights.sum() * n)).astype(np.int64)
    counts[-1] += n - counts.sum()
    return np.repeat(np.arange(groups), counts)


def clustered(kind: str, groups: int, n: int, *, alike: float, binary: bool) -> Cell:
    """Return a cell whose changes of a cluster are alike, by the intraclass correlation given."""
    member = sizes(kind, groups, n)
    spread = 0.2 - 0.04**2 if binary else 0.2**2  # variance of one change
    own = (alike * spread) ** 0.5

    def draw(random: Random) -> tuple[Scores, Scores]:
        moved = own * random.normal(size=groups)[member]
        if not binary:
            return np.zeros(n), 0.05 + moved + random.normal(size=n) * (spread - own**2) ** 0.5
        moved = np.clip(moved / 2, -0.08, 0.08)  # a probability stays one; the mean stays what it is
        gained, lost, chance = 0.12 + moved, 0.08 - moved, random.random(n)
        base = np.where(chance < gained, 0.0, np.where(chance > 1 - lost, 1.0, random.random(n) < HALF))
        return base, np.where(chance < gained, 1.0, np.where(chance > 1 - lost, 0.0, base))

    name = f"{'0/1' if binary else 'normal'}, {groups} {kind} clusters, alike {alike:g}"
    return Cell(name=name, n=n, truth=0.04 if binary else 0.05, draw=draw, clusters=member)


ANSWERS = ((0.5, 0.0, 0.3), (0.5, 0.05, 0.7), (0.3, 0.1, 0.5), (0.85, 0.0, 0.3), (0.85, 0.0, 0.8))
"""Share of right answers before, its change, and how alike the two answers to a question are."""

NUMBERS = [
    numbers(kind, n) for kind in ("normal", "heavy tails (t, 4)", "exponential", "lognormal", *TIES) for n in (50, 200)
]
CLUSTERED = [
    clustered("equal", 20, 200, alike=0.0, binary=True),
    clustered("equal", 20, 200, alike=0.1, binary=True),
    clustered("unequal", 20, 200, alike=0.1, binary=True),
    clustered("unequal", 57, 228, alike=0.05, binary=True),
    clustered("unequal", 57, 570, alike=0.05, binary=True),
    clustered("equal", 10, 100, alike=0.2, binary=False),
    clustered("unequal", 20, 200, alike=0.2, binary=False),
]


def deltas(cell: Cell, studies: int, random: Random) -> Iterator[tuple[Delta, int]]:
    """Yield the delta of each study."""
    for _ in range(studies):
        base, tuned = cell.draw(random)
        yield score_delta(base, tuned, clusters=cell.clusters), 1


def coverage(found: Iterator[tuple[Delta, int]], truth: float) -> tuple[float, float, float]:
    """Return how often the interval covers the truth, lies wholly above it, and wholly below."""
    above = below = total = 0
    for delta, times in found:
        above += times * (delta.low > truth)
        below += times * (delta.high < truth)
        total += times
    return 1 - (above + below) / total, above / total, below / total


def print_coverage(studies: int, random: Random, only: str) -> None:
    """Print the table of intervals, or of it the rows whose name holds a text."""
    print(f"\n95 % intervals, {studies} studies a row\n\n| scores | n | covers | too high | too low |")
    print("|---|---|---|---|---|")
    for n in (50, 200, 1000):
        for rate, shift, alike in ANSWERS:
            shares = answers(rate, shift, alike)
            name = f"0/1, base {rate:g}, change {shift:g}, alike {alike:g} ({shares[1] + shares[2]:.0%} change)"
            if only in name:
                print_row(name, n, coverage(binary_deltas(n, shares, studies, random), shift))
    for cell in (cell for cell in (*NUMBERS, *CLUSTERED) if only in cell.name):
        print_row(cell.name, cell.n, coverage(deltas(cell, studies, random), cell.truth))


def print_row(name: str, n: int, shares: tuple[float, float, float]) -> None:
    """Print one row, marked where the interval covers less than 94 or more than 96 of a hundred."""
    mark = "" if abs(round(shares[0], 3) - 0.95) <= ALLOWED else " *"
    print(f"| {name} | {n} | {shares[0]:.1%}{mark} | {shares[1]:.1%} | {shares[2]:.1%} |", flush=True)


def false_ships(n: int, shares: tuple[float, ...], guard: Cell | None, studies: int, random: Random) -> float:
    """Return how often an adapter is told to ship that is no better, or that stands on the floor of its guard."""
    guards = deltas(guard, studies, random) if guard else None
    floor = GuardConfig(metric="mmlu/delta", at_least=guard.truth if guard else 0.0)
    shipped = 0
    for task, times in binary_deltas(n, shares, studies, random):
        for _ in range(times if guards else 1):
            judged = [JudgedGuard(guard=floor, delta=next(guards)[0])] if guards else []
            shipped += (1 if guards else times) * (verdict(task, judged).verdict is Verdict.ship)
    return shipped / studies


def mirrored_ships(cell: Cell, studies: int, random: Random) -> float:
    """Return how often SHIP is said of a change of zero whose long tail is below: where intervals are worst."""
    shipped = 0
    for _ in range(studies):
        base, tuned = cell.draw(random)
        shipped += verdict(score_delta(tuned - cell.truth, base), []).verdict is Verdict.ship
    return shipped / studies


def print_ships(studies: int, random: Random, only: str) -> None:
    """Print the table of wrong SHIPs, or of it the rows about cells whose name holds a text."""
    print(f"\nSHIP where it is wrong, {studies} studies a row\n\n| what is wrong | n | SHIP |\n|---|---|---|")
    for n in (20, 50, 200, 1000):
        for changing in () if only else (0.05, 0.3):
            share = false_ships(n, (0.5, changing / 2, changing / 2, 0.5 - changing), None, studies, random)
            print(f"| the task is no better ({changing:.0%} of the answers change) | {n} | {share:.1%} |")
    for cell in NUMBERS:
        if cell.name in LONG and only in cell.name:
            share = mirrored_ships(cell, NEAR * studies, random)
            name = f"numbers, {cell.name} with the long tail below; {NEAR * studies} studies"
            print(f"| the task is no better ({name}) | {cell.n} | {share:.1%} |")
    for guard in (cell for cell in CLUSTERED[3:5] if only in cell.name):
        share = false_ships(200, (0.4, 0.3, 0.0, 0.3), guard, studies, random)
        print(f"| the guard's true change is on its floor ({guard.name}) | {guard.n} | {share:.1%} |")


def ranks(n: int, rates: tuple[float, ...], ids: tuple[str, ...], random: Random) -> list[Candidate]:
    """Return five ranks scored on the same questions, of which some are hard for all."""
    hard = random.random(n)
    own = random.random((len(RANKS), n))
    luck = np.where(own < HALF, hard, random.random((len(RANKS), n)))
    scores = (luck < np.array(rates)[:, None]).astype(np.float64)
    return [
        Candidate(name=f"r={rank}", scores=one, cost=rank, ids=ids) for rank, one in zip(RANKS, scores, strict=True)
    ]


def print_ranks(studies: int, random: Random) -> None:
    """Print how often the smallest rank that keeps up is found, missed by one too small, and by one too large."""
    print(f"\nThe smallest rank not worse than the best, {studies} studies a row")
    print("\n| truth | n | can show, points | right | too large | too small |\n|---|---|---|---|---|---|")
    for name, rates, right in (
        ("all five are equal", (0.6,) * 5, "r=1"),
        ("r=1 and r=2 lose 20 points", (0.4, 0.4, 0.6, 0.6, 0.6), "r=4"),
        ("r=1, 2, 4 lose 20, 10, 5 points", (0.4, 0.5, 0.55, 0.6, 0.6), "r=8"),
    ):
        for n in (64, 200, 1000):
            ids = tuple(map(str, range(n)))
            found = [cheapest_not_worse(ranks(n, rates, ids, random)) for _ in range(studies)]
            taken = Counter(one.take for one in found)
            seen = float(np.mean([one.resolution for one in found]))
            large, small = (
                sum(times for one, times in taken.items() if side * int(one[2:]) > side * int(right[2:])) / studies
                for side in (1, -1)
            )
            hit = taken[right] / studies
            print(f"| {name} | {n} | ±{100 * seen:.1f} | {hit:.1%} | {large:.1%} | {small:.1%} |", flush=True)


def main() -> None:
    """Print the three tables."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    only = sys.argv[2] if len(sys.argv) > 2 else ""  # noqa: PLR2004
    random, start = np.random.default_rng(0), time.process_time()
    print_coverage(studies, random, only)
    print_ships(studies, random, only)
    if not only:
        print_ranks(studies, random)
    print(f"\n{time.process_time() - start:.0f} s of one core")


if __name__ == "__main__":
    main()
