"""What is measured on the base and on the adapted model; part of the recipe (see tune.config.recipe)."""

from dataclasses import dataclass
from enum import StrEnum


class GeneralKnowledge(StrEnum):
    """What shows forgetting."""

    none = "none"
    probe = "probe"
    """Embedded questions of this project in the form of MMLU."""

    mmlu = "mmlu"
    """Measuring Massive Multitask Language Understanding, Hendrycks et al. 2021."""


class ChoiceForm(StrEnum):
    """How a multiple-choice question is put to the model."""

    letter = "letter"
    """The four choices are listed and the letters A to D are compared."""

    continuation = "continuation"
    """The texts of the four choices are compared as answers."""


@dataclass(kw_only=True, slots=True)
class EvaluateConfig:
    """What is measured on the base and on the adapted model, with the same questions."""

    general: GeneralKnowledge = GeneralKnowledge.probe
    """Knowledge questions that show forgetting: probe, mmlu or none."""

    mmlu_dir: str | None = None
    """Folder with dev/SUBJECT_dev.csv and test/SUBJECT_test.csv; without it the hub's cais/mmlu."""

    limit: int | None = None
    """Questions a subject, a fixed choice; null for all. At least 1."""

    n_shot: int = 0
    """Solved questions shown before each one. From 0 to 5 (the probe has 3)."""

    form: ChoiceForm = ChoiceForm.letter
    """How the choices are compared."""

    perplexity: bool = True
    """Measure perplexity/domain on the validation answers."""

    batch_size: int = 8
    """Sequences scored at once; fixed, because it changes scores slightly. At least 1."""

    generation_batch_size: int = 16
    """Replies generated at once. At least 1."""

    confidence: float = 0.95
    """Probability that an interval is meant to cover. Between 0.5 and 1."""
