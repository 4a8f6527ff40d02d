"""Which trials of a leaderboard keep the guards."""

from collections.abc import Sequence

from tune.config.guards import GuardConfig, Judged
from tune.report.columns import Column
from tune.track.records import StudyRecord, TrialRecord


def guard_column(study: StudyRecord, ranked: Sequence[TrialRecord]) -> list[Column]:
    """Return a column with what the guards say of each row; none where the sweep has no guards."""
    if not study.guards:
        return []
    return [Column(head="guards", cells=[study.judged(trial.metrics).word for trial in ranked])]


def guard_lines(study: StudyRecord, ranked: Sequence[TrialRecord]) -> list[str]:
    """Return, guard by guard, which trials keep it, and which the evidence does not settle."""
    return [_line(guard, ranked, round(study.confidence * 100)) for guard in study.guards]


def _line(guard: GuardConfig, ranked: Sequence[TrialRecord], percent: int) -> str:
    said: dict[Judged, list[str]] = {judged: [] for judged in Judged}
    for trial in ranked:
        said[guard.judge_metrics(trial.metrics)].append(str(trial.number))
    parts = [f"{judged.word} by {', '.join(numbers)}" for judged, numbers in said.items() if numbers]
    sentence = f"guard {guard.words}: {'; '.join(parts)}".replace("unsure by", "not settled for")
    unsure = " (the limit lies inside the interval: more examples would settle it)" * bool(said[Judged.unsure])
    return f"{sentence}, by the {percent} % interval{unsure}"
