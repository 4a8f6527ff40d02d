"""A study of two trials that have ended, without a model: what their folders hold, a test writes by hand."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune.config.compose import compose
from tune.study.attempts import end
from tune.study.claim import claim, enqueue_grid
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.study.storage import StudyFolder, open_study
from tune.trial.outcome import Outcome, State


@dataclass(frozen=True)
class TwoTrials:
    """Both complete; the second is better."""

    runs: Path
    name: str

    @property
    def study_folder(self) -> StudyFolder:
        return StudyFolder(runs=self.runs, name=self.name)

    def folder(self, number: int) -> Path:
        return self.study_folder.trial(number)

    def write(self, number: int, name: str, content: dict[str, Any]) -> None:
        (self.folder(number) / name).write_text(json.dumps(content))


def two_trials(runs: Path, name: str) -> TwoTrials:
    """Make the study, with an empty folder for each trial."""
    made = TwoTrials(runs=runs, name=name)
    runs.mkdir()
    config = compose(["+sweep=smoke", f"study.name={name}"])
    study, _ = open_study(config, runs)
    enqueue_grid(study, config)
    for score in (0.4, 0.6):
        claimed = claim(study, config, parse_space(config), worker=sign())
        assert claimed is not None
        end(study, claimed.number, Outcome(state=State.complete, metrics={"task/score": score}), value=score)
        made.folder(claimed.root).mkdir(parents=True)
    return made
