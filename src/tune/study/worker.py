"""A process that holds a base model and runs trials that it claims from the study."""

import logging
import os
import signal
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from tune.config.schema import Config
from tune.errors import Interrupted, TrialError, TuneError
from tune.study.claim import Claim, claim, tell
from tune.study.storage import StudyFolder, stored_config
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunRecorder, RunStatus
from tune.trial.measure import write_json
from tune.trial.outcome import Outcome, State
from tune.trial.task import Task, model_folder, read_task


class Worker:
    """Claims, runs and tells until nothing is left to start."""

    def __init__(self, study: Any, runs: Path) -> None:
        self._study = study
        self._config = stored_config(study)
        self._folder = StudyFolder(runs=runs, name=study.study_name)
        self._store = MlflowStore(runs, self._config.track.experiment)
        self._bench: Any = None
        self._task: tuple[str, Task] | None = None

    def work(self) -> None:
        """Run trials; returns when none is left or as many as `workers.trials_per_process` are done.

        Raises:
            Interrupted: The process was asked to stop; its trial is back in the queue.
        """
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGINT, _interrupt)
        most = self._config.workers.trials_per_process
        n_done = 0
        while not most or n_done < most:
            claimed = claim(self._study, self._config, self._folder, worker=str(os.getpid()))
            if claimed is None:
                return
            self._one(claimed)
            n_done += 1

    def _one(self, claimed: Claim) -> None:
        folder = self._folder.trial(claimed.number)
        recorder: RunRecorder | None = None
        try:
            recorder = self._record(claimed)
            outcome = self._run(claimed.config, folder, recorder)
            _publish(recorder, folder, outcome)
        except Interrupted as error:
            self._end(claimed, recorder, _failed("interrupted", str(error)), again=True)
            raise
        except TrialError as error:
            self._end(claimed, recorder, _failed(error.reason, str(error)))
        except TuneError as error:
            self._end(claimed, recorder, _failed("setup", str(error)))
        except Exception as error:  # noqa: BLE001 - one trial's bug must not end the study
            traceback.print_exc()
            self._end(claimed, recorder, _failed("bug", f"{type(error).__name__}: {error}"))
        else:
            self._end(claimed, recorder, outcome)

    def _record(self, claimed: Claim) -> RunRecorder:
        from tune.config.compose import to_yaml

        attrs = claimed.trial.user_attrs
        recorder = self._store.trial_run(
            name=f"{self._folder.name}-{claimed.number:03d}",
            study_run_id=self._study.user_attrs.get("run_id"),
            tags={"tune.command": attrs["command"], "tune.trial": str(claimed.number)},
        )
        claimed.trial.set_user_attr("run_id", recorder.run_id)
        recorder.params({**claimed.point, "seed": claimed.config.seed})
        recorder.text("config.yaml", to_yaml(claimed.config))
        return recorder

    def _run(self, config: Config, folder: Path, recorder: RunRecorder) -> Outcome:
        from tune.trial.run import model_key, open_bench, run_trial

        task = self._read_task(config)
        if self._bench is None or self._bench.model_key != model_key(config):
            self._bench = None
            self._bench = open_bench(config, task, folder=model_folder(config, announce=logging.info))
        elif self._bench.task is not task:
            from dataclasses import replace

            self._bench = replace(self._bench, task=task)

        def on(phase: str, done: int, total: int) -> None:
            write_json(folder / "progress.json", {"phase": phase, "done": done, "total": total})

        return run_trial(config, self._bench, folder=folder, recorder=recorder, on=on)

    def _read_task(self, config: Config) -> Task:
        key = repr((config.data, config.evaluate, config.model))
        if self._task is None or self._task[0] != key:
            self._task = (key, read_task(config))
        return self._task[1]

    def _end(self, claimed: Claim, recorder: RunRecorder | None, outcome: Outcome, *, again: bool = False) -> None:
        tell(self._study, claimed.number, outcome, claimed.config, again=again)
        if recorder is None:
            return
        if outcome.reason:
            recorder.tags({"tune.reason": outcome.reason, "tune.message": outcome.message})
        ends = {"interrupted": RunStatus.killed, None: RunStatus.finished}
        recorder.finish(ends.get(outcome.reason, RunStatus.failed))


def _publish(recorder: RunRecorder, folder: Path, outcome: Outcome) -> None:
    recorder.metrics(outcome.metrics)
    recorder.artifact(folder / "scores.json")
    recorder.artifact(folder / "adapter", folder="adapter")


def _failed(reason: str, message: str) -> Outcome:
    return Outcome(state=State.failed, reason=reason, message=message)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    msg = f"the worker was sent {signal.Signals(number).name}."
    raise Interrupted(msg)
