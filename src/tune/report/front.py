"""Which rows of a leaderboard are on the Pareto front, and what beats the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from tune.track.dominance import beaten_by
from tune.track.records import StudyRecord, TrialRecord
from tune.track.repeats import PointRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Front:
    """What the leaderboard says of each row."""

    cells: list[str]
    line: str

    @property
    def size(self) -> int:
        """Return how many rows are on it; they come first."""
        return self.cells.count(_ON)


_ON = "front"


def front_of(study: StudyRecord, rows: Sequence[TrialRecord], points: Sequence[PointRecord]) -> Front | None:
    """Return where each row stands; None where the study has one objective.

    Args:
        study: It.
        rows: Best first, each with its metrics, or their means.
        points: The rows with their seeds; none where a row is a trial.
    """
    if not study.others or not rows:
        return None
    best = study.judged(rows[0].metrics)
    others = [row for row in rows if study.judged(row.metrics) is not best]  # they come last, and are on no front
    rows, points = rows[: len(rows) - len(others)], points[: len(rows) - len(others)]
    beaten = beaten_by([study.good(row.metrics) for row in rows], [len(point.trials) for point in points] or None)
    names = [row.number for row in rows]
    cells = [_ON if better is None else f"below {names[better]}" for better in beaten]
    cells += [f"guard {study.judged(row.metrics)}" for row in others]
    front = [str(name) for name, better in zip(names, beaten, strict=True) if better is None]
    means = " on average over at least as many seeds" if points else ""
    line = (
        f"Pareto front: trial{'s' * (len(front) > 1)} {', '.join(front)}. No other is at least as good in all "
        f"objectives and better in one{means}"
    )
    below = next(((name, better) for name, better in zip(names, beaten, strict=True) if better is not None), None)
    example = f"; trial {names[below[1]]} is both beside trial {below[0]}, which is below it" if below else ""
    return Front(cells=cells, line=f"{line}{example}.")
