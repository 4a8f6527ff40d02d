"""What the metrics need beside a reply and its example, read and checked before anything is trained."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tune.config.code import CodeConfig
from tune.config.data import DataConfig
from tune.config.digest import digest
from tune.config.evaluation import EvaluateConfig
from tune.config.metric import OF_LABELS, OF_ROUGE, Metric
from tune.config.scoring import ScoringConfig
from tune.errors import DataError
from tune.evaluate.labels import Labels, read_labels
from tune.evaluate.overlap import is_blank_to_rouge
from tune.evaluate.own_metric import OwnMetric, read_own_metric
from tune.evaluate.structured import read_schema, validator_of


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What replies are held against."""

    settings: ScoringConfig = field(default_factory=ScoringConfig)
    labels: Labels | None = None
    schema: dict[str, Any] | bool | None = None
    own: OwnMetric | None = None

    code: CodeConfig = field(default_factory=CodeConfig)
    """Limits of the programs that the metric code runs; their digest is taken with their tests."""

    @property
    def digest(self) -> str:
        """Return the digest of all that moves a score; of files their content, not their name."""
        settings = self.settings
        return digest(
            {
                "normalise": sorted(settings.normalise),
                "labels": self.labels and [*self.labels.names, self.labels.how],
                "regex": [settings.regex, settings.regex_whole],
                "schema": self.schema,
                "own": self.own and self.own.digest,
            }
        )

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Return data.scoring.regex."""
        assert self.settings.regex is not None  # tune.config.scoring_rules has it set
        return re.compile(self.settings.regex)

    @cached_property
    def validator(self) -> Any:
        """Return what checks values against data.scoring.json_schema."""
        assert self.schema is not None
        return validator_of(self.schema)


def read_scoring(data: DataConfig, evaluate: EvaluateConfig, answers: Sequence[str]) -> Scoring:
    """Return what the metrics need.

    Args:
        data: With the metrics and data.scoring.
        evaluate: With the user's own metric.
        answers: Right answers of all splits: labels are the same in search and finals.

    Raises:
        ConfigError: A file or a setting is not usable.
        DataError: The answers do not suit a metric.
    """
    settings, metrics = data.scoring, data.metrics
    labels, schema = None, None
    if any(metric in metrics for metric in OF_LABELS):
        labels = read_labels(settings.labels, answers, rules=settings.normalise, how=settings.label_from)
    if Metric.json_schema in metrics and settings.json_schema is not None:
        schema = read_schema(Path(settings.json_schema).expanduser())
    if any(metric in metrics for metric in OF_ROUGE):
        _check_script(answers)
    own = read_own_metric(evaluate.metric) if evaluate.metric else None
    return Scoring(settings=settings, labels=labels, schema=schema, own=own, code=evaluate.code)


def _check_script(answers: Sequence[str]) -> None:
    blank = sum(is_blank_to_rouge(answer) for answer in answers)
    if 2 * blank > len(answers):
        msg = (
            f"{blank} of {len(answers)} right answers have no Latin letter and no digit, and ROUGE sees nothing else: "
            "every reply would score 0. Take chrf, or exact_match, in data.metrics."
        )
        raise DataError(msg)
