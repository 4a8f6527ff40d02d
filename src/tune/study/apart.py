"""Which of a study's trials is enough: the cheapest that validation does not show to be worse than the best."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tune.config.guards import Judged
from tune.config.metrics import task_metrics
from tune.config.schema import Config
from tune.errors import EvaluationError
from tune.study.storage import StudyFolder
from tune.track.records import StudyRecord, TrialRecord
from tune.track.repeats import PointRecord, ranked_points
from tune.trial.outcome import SCORES

_LEAST = 2
_SIZE = "cost/trainable_params"


def enough(study: StudyRecord, config: Config, folder: StudyFolder) -> Iterator[str]:
    """Yield sentences for people; none where the objective is no score of the task, or fewer than two points have one.

    Args:
        study: With its trials.
        config: Its; the first metric of the task is the score.
        folder: Where the trials' scores are, example by example.
    """
    from tune.evaluate.cheapest import cheapest_not_worse
    from tune.evaluate.several import tell_apart

    points = [point for point in ranked_points(study) if study.judged(point.means()) is not Judged.failed]
    source = _source(study, config)
    if source is None or len(points) < _LEAST:
        return
    named = zip(points, _names(points), strict=True)
    found = [(point, _candidate(point, name, source, folder)) for point, name in named]
    there = [candidate for _, candidate in found if candidate is not None]
    if missing := [str(point.trials[0].number) for point, candidate in found if candidate is None]:
        yield f"not compared, because their scores are not on this disk: trials {', '.join(missing)}"
    if len(there) < _LEAST:
        return
    try:
        yield cheapest_not_worse(there, confidence=study.confidence).words
        yield tell_apart(there[0], there[1], confidence=study.confidence).words
    except EvaluationError as error:
        yield f"the trials cannot be compared example by example: {error}"


def _source(study: StudyRecord, config: Config) -> str | None:
    """Return the name of the scores that the objective is the mean, or the change, of."""
    if study.direction != "maximize" or not study.metric.startswith("task/"):
        return None
    name = study.metric.removeprefix("task/").removesuffix("_delta")
    return task_metrics(config)[0] if name == "score" else name


def _names(points: Sequence[PointRecord]) -> list[str]:
    """Return the points in words; those that are the same in words have a trial's number too."""
    words = [
        " ".join(f"{key.rsplit('.', 1)[-1]}={_short(value)}" for key, value in point.parameters.items())
        for point in points
    ]
    return [
        one if words.count(one) == 1 else f"{one} (trial {point.trials[0].number})".lstrip()
        for one, point in zip(words, points, strict=True)
    ]


def _candidate(point: PointRecord, name: str, source: str, folder: StudyFolder) -> Any:
    import numpy as np

    from tune.evaluate.several import Candidate

    seeds = [_scores(trial, folder) for trial in point.trials]
    read = [scores for scores in seeds if scores is not None]
    if len(read) < len(seeds) or any(source not in scores["scores"] for scores in read):
        return None
    return Candidate(
        name=name,
        scores=np.mean([scores["scores"][source] for scores in read], axis=0),
        cost=point.mean(_SIZE),
        ids=tuple(read[0]["ids"]["task"]),
        fingerprint=read[0]["fingerprint"],
    )


def _scores(trial: TrialRecord, folder: StudyFolder) -> dict[str, Any] | None:
    file = folder.trial(trial.number) / SCORES
    if not file.is_file():
        return None
    adapted: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["adapted"]
    return adapted


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
