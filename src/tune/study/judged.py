"""Whose replies are judged: those of the finalists, or of the best trial where the finals have not been run."""

from dataclasses import replace

from tune.config.schema import Config
from tune.config.sheet import BASE
from tune.study.replies import read_sides
from tune.study.visit import read_study
from tune.track.sides_record import SidesRecord


def read_judged(name: str, config: Config) -> list[SidesRecord]:
    """Return the replies of each trial that is to be judged, beside its base's; evaluate.judge says which and how.

    Raises:
        StudyError: There is no such study or trial, or the trial has no replies here.
        EvaluationError: A file cannot be used.
    """
    judge = config.evaluate.judge
    chosen: list[int | None] = [judge.trial]
    if judge.trial is None:
        chosen = [final.trial for final in read_study(name, config).finals if final.forms] or [None]  # the best one
    sheets = [replace(config.sheet, trial=number, against=BASE, form=judge.form) for number in chosen]
    return [read_sides(name, replace(config, sheet=sheet), group="evaluate.judge") for sheet in sheets]
