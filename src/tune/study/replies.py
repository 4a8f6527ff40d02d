"""What a trial, and the base or another trial, replied to the same questions: read from the trials' folders.

Finalists have replies to the test split in final.json; other trials have those to the validation split, in scores.json.
Both files hold the questions too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from tune import paths
from tune.config.schema import Config
from tune.config.sheet import SheetForm
from tune.errors import EvaluationError, StudyError
from tune.files import read_json
from tune.study.storage import StudyFolder, load_study, snapshot
from tune.track.records import StudyRecord, TrialRecord
from tune.track.repeats import best_points
from tune.track.sides_record import AskedRecord, SidesRecord
from tune.trial.outcome import FINAL, SCORES

_Plain = dict[str, Any]


def read_sides(name: str, config: Config, *, group: str = "sheet") -> SidesRecord:
    """Return what sheet.trial of a study replied, beside what sheet.against did.

    Args:
        name: Of the study.
        config: With the trial, the other side and the form.
        group: How the keys begin that people set these by, for messages.

    Raises:
        StudyError: There is no such study or trial, or the trial has no replies here.
        EvaluationError: The two did not answer the same questions, or a file cannot be used.
    """
    runs, sheet = paths.runs_dir(config.track.folder), config.sheet
    folder = StudyFolder(runs=runs, name=name)
    record = snapshot(load_study(name, config, runs), folder)
    trial = _best(record) if sheet.trial is None else _complete(record, sheet.trial)
    if sheet.other is not None:
        _complete(record, sheet.other)
    if sheet.other == trial.number:
        msg = f"sheet.against={sheet.against} is the trial of {name} that is rated. Name another, or base."
        raise StudyError(msg)
    own = folder.trial(trial.number)
    rival = own if sheet.other is None else folder.trial(sheet.other)
    split, asked = _asked(own, rival, config, group)
    return SidesRecord(
        study=name,
        trial=trial.number,
        against=sheet.against,
        form=sheet.form.value,
        split=split,
        confidence=record.confidence,
        asked=asked,
        study_folder=folder.path,
        trial_folder=own,
    )


def _best(record: StudyRecord) -> TrialRecord:
    """Return the trial that the study's verdict is about; without one the best on the validation split."""
    if record.verdict and record.verdict.trial is not None:
        return _complete(record, record.verdict.trial)
    best = best_points(record)
    if not best:
        msg = f"no trial of {record.name} is complete yet, so there is nothing to rate. Run it on with its command."
        raise StudyError(msg)
    return best[0].trials[0]


def _complete(record: StudyRecord, number: int) -> TrialRecord:
    complete = {trial.number: trial for trial in record.trials if trial.state == "complete"}
    if number not in complete:
        there = f"Complete are: {', '.join(map(str, sorted(complete)))}." if complete else "None is yet."
        msg = f"trial {number} of {record.name} is not there or not complete, so it has no replies. {there}"
        raise StudyError(msg)
    return complete[number]


def _asked(own: Path, rival: Path, config: Config, group: str) -> tuple[str, tuple[AskedRecord, ...]]:
    """Return the split, and its questions with both replies: of the finals where both have them."""
    form, is_base = config.sheet.form, config.sheet.other is None
    if all((place / FINAL).is_file() for place in (own, rival)):
        first, second = own / FINAL, rival / FINAL
        keys = ("replies", form.value), ("replies", "base" if is_base else form.value)
    elif form is SheetForm.deployed:
        msg = (
            f"{group}.form=deployed needs the finals of both sides, and there is no {FINAL} in {own} or {rival}. "
            f"Take a finalist with {group}.trial=…, or {group}.form=adapter."
        )
        raise StudyError(msg)
    else:
        first, second = own / SCORES, rival / SCORES
        keys = ("adapted", "replies"), ("base" if is_base else "adapted", "replies")
    ours, theirs = _read(first), _read(second)
    try:
        examples, others = ours["examples"], theirs["examples"]
        replies, said = (plain[one][other] for plain, (one, other) in zip((ours, theirs), keys, strict=True))
        _refuse_others(examples, others, replies, said)
        return str(ours["split"]), tuple(
            AskedRecord(id=one["id"], question=one["question"], answer=one["answer"], reply=reply, other=other)
            for one, reply, other in zip(examples, replies, said, strict=True)
        )
    except (KeyError, TypeError) as error:
        msg = f"{first} or {second} does not hold what a sheet needs ({error}). Repeat the trial with its command."
        raise EvaluationError(msg) from error


def _refuse_others(
    examples: Sequence[_Plain], others: Sequence[_Plain], replies: Sequence[str], said: Sequence[str]
) -> None:
    """Refuse to put side by side what was asked something else.

    Raises:
        EvaluationError: So it is.
    """
    if examples != others or not len(examples) == len(replies) == len(said):
        msg = (
            f"the replies of the two cannot be put side by side: {len(examples)} questions with {len(replies)} replies "
            f"and {len(others)} with {len(said)} must be the same ones in the same order. Take trials that were scored "
            "on the same rows."
        )
        raise EvaluationError(msg)


def _read(file: Path) -> _Plain:
    content = read_json(file)
    if content is None:
        msg = (
            f"{file} is missing or no JSON, so there are no replies: they may be on the machine that ran the trial. "
            "Copy its folder here, or repeat the trial with its command."
        )
        raise StudyError(msg)
    return cast("_Plain", content)
