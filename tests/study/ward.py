"""Studies for tests of what is wrong with them: real databases, and workers that can be dead."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tune.config.compose import compose
from tune.errors import StoreAway
from tune.files import write_json, write_manifest
from tune.study.attempts import end, retries_after
from tune.study.claim import Claim, claim, enqueue_grid
from tune.study.doctor.case import Case
from tune.study.doctor.examine import open_case
from tune.study.record import ENDS, record_of, run_status
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.study.storage import open_study
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunRecord, RunStatus
from tune.track.replay import end_run
from tune.trial.failure import failed
from tune.trial.outcome import Outcome, State

NOBODY = f"{sign().split()[0]} 4194999 0.00"  # above the largest process id of Linux
ELSEWHERE = "faraway/00000000 7 0.00"
METRICS = {"task/score": 0.5, "cost/seconds": 3.0}


@dataclass(frozen=True)
class Ward:
    """One study of two trials, as its workers and its supervisor leave it."""

    runs: Path
    name: str

    @cached_property
    def config(self) -> Any:
        return compose(["+sweep=smoke", f"study.name={self.name}", f"track.folder='{self.runs}'"])

    @cached_property
    def case(self) -> Case:
        return open_case(self.name, self.config)

    @property
    def trials(self) -> list[Any]:
        return self.case.study.get_trials(deepcopy=False)

    def folder(self, number: int) -> Path:
        return self.runs / "studies" / self.name / "trials" / f"{number:04d}"

    def run(self, number: int) -> RunRecord:
        """Return what MLflow says about a trial."""
        run_id = next(trial.user_attrs["run_id"] for trial in self.trials if trial.number == number)
        record = self.case.store.read(run_id)
        assert record is not None
        return record

    def parent(self) -> RunRecord:
        record = self.case.store.read(self.case.study.user_attrs["run_id"])
        assert record is not None
        return record

    def start(self, worker: str | None = None) -> tuple[Claim, Any]:
        """Begin a trial as a worker does: claimed, with its run, and a first file."""
        case = self.case
        claimed = claim(case.study, case.config, parse_space(case.config), worker=worker or sign())
        assert claimed is not None
        recorder = record_of(claimed, case.study, case.store, case.folder)
        write_json(self.folder(claimed.root) / "progress.json", {"phase": "train", "done": 1, "total": 2})
        return claimed, recorder

    def fail(self, reason: str) -> int:
        """Run a trial to an end without a result; return its number."""
        claimed, recorder = self.start()
        outcome, case = failed(reason, "m."), self.case
        end(case.study, claimed.number, outcome, retries=retries_after(reason, case.config))
        recorder.tags({"tune.reason": reason, "tune.message": "m."})
        recorder.finish(ENDS.get(reason, RunStatus.failed))
        recorder.close(5)
        return claimed.root

    def complete(self, worker: str | None = None, score: float = 0.5) -> int:
        """Run a trial to its end, as a worker and `run_trial` do; return its number."""
        claimed, recorder = self.start(worker)
        metrics = {**METRICS, "task/score": score}
        write_json(self.folder(claimed.root) / "scores.json", {"base": {}, "adapted": {}})
        adapter(self.folder(claimed.root) / "adapter")
        recorder.metrics(metrics)
        end(self.case.study, claimed.number, Outcome(state=State.complete, metrics=metrics), value=score)
        recorder.finish(RunStatus.finished)
        recorder.close(5)
        return claimed.root


def new_ward(runs: Path, name: str) -> Ward:
    """Return a new study whose supervisor has begun and ended."""
    ward = Ward(runs, name)
    config = ward.config
    study, _ = open_study(config, runs)
    enqueue_grid(study, config)
    store = MlflowStore(runs, "tune")
    store.prepare()
    parent = store.study_run(name, tags={})
    study.set_user_attr("run_id", parent.run_id)
    parent.finish(RunStatus.killed)
    return ward


class Away(MlflowStore):
    """A store whose server does not answer."""

    def call(self, method: str, *_args: object, **_kwargs: object) -> Any:
        msg = f"the server does not answer to {method}."
        raise StoreAway(msg)


def leave_lines(ward: Ward, number: int) -> None:
    """Let a trial's journal hold lines that could not be sent."""
    status, run_id = run_status(ward.trials[number]), ward.run(number).run_id
    away = Away(ward.runs, "tune")
    assert not end_run(away, ward.folder(number), run_id=run_id, status=status, tags={"tune.late": "yes"})


def adapter(folder: Path) -> None:
    """Write a small adapter, whole."""
    folder.mkdir(parents=True)
    save_file({"a": np.ones(8, dtype=np.float32)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2}))


def checkpoint(folder: Path, step: int = 4) -> Path:
    """Write a checkpoint in a trial's folder, whole."""
    place = folder / "checkpoints" / f"step-{step:08d}"
    place.mkdir(parents=True)
    (place / "adapter.safetensors").write_bytes(b"w" * 5000)
    write_manifest(place, "recipe")
    return place
