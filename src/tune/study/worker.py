"""A process that holds a base model and runs trials that it claims from the study."""

import logging
import traceback
from pathlib import Path
from typing import Any

from tune.config.schema import Config
from tune.errors import Interrupted, Lost, TrialError, TuneError
from tune.files import write_json
from tune.study.attempts import end, retries_after, worker_name
from tune.study.claim import Claim, claim
from tune.study.heart import Heart, die_with_supervisor
from tune.study.stop import StopRequest
from tune.study.storage import StudyFolder, stored_config
from tune.track.place import open_store
from tune.track.recorder import RunRecorder, RunStatus
from tune.trial.outcome import Outcome, State
from tune.trial.task import Task, model_folder, read_task


class Worker:
    """Claims, runs and tells until nothing is left to start."""

    def __init__(self, study: Any, runs: Path) -> None:
        self._study = study
        self._config = stored_config(study)
        self._folder = StudyFolder(runs=runs, name=study.study_name)
        self._store = open_store(self._config.track, runs)
        self._stop = StopRequest()
        self._bench: Any = None
        self._task: tuple[str, Task] | None = None

    def work(self) -> None:
        """Run trials; returns when none is left or as many as `workers.trials_per_process` are done.

        Raises:
            Interrupted: The process was asked to stop; its trial is back in the queue.
        """
        self._stop.listen()
        die_with_supervisor()
        most = self._config.workers.trials_per_process
        n_done = 0
        while not most or n_done < most:
            with self._stop.held():
                claimed = claim(self._study, self._config, worker=worker_name())
            if claimed is None:
                return
            with Heart(self._study, claimed.trial, every_s=self._config.workers.heartbeat_s) as heart:
                self._one(claimed, heart)
            self._stop.check()
            n_done += 1

    def _one(self, claimed: Claim, heart: Heart) -> None:
        folder = self._folder.trial(claimed.root)
        recorder: RunRecorder | None = None
        try:
            self._stop.check()
            recorder = self._record(claimed)
            outcome = self._run(claimed.config, folder, recorder, heart)
            _publish(recorder, folder, outcome)
        except (Exception, Interrupted) as error:  # noqa: BLE001 - one trial's bug must not end the study
            outcome = _failed("interrupted", self._stop.asked) if self._stop.asked else _failure(error)
        with self._stop.held():
            self._end(claimed, recorder, outcome)

    def _record(self, claimed: Claim) -> RunRecorder:
        from tune.config.compose import to_yaml

        attrs = claimed.trial.user_attrs
        if attrs.get("run_id"):  # an earlier attempt's: it goes on in the same run
            recorder = self._store.open(attrs["run_id"])
            recorder.reopen()
        else:
            recorder = self._store.trial_run(
                name=f"{self._folder.name}-{claimed.root:03d}",
                study_run_id=self._study.user_attrs.get("run_id"),
                tags={"tune.command": attrs["command"], "tune.trial": str(claimed.root)},
            )
            claimed.trial.set_user_attr("run_id", recorder.run_id)
        recorder.tags({"tune.attempt": str(claimed.attempt)})
        recorder.params({**claimed.point, "seed": claimed.config.seed})
        recorder.text("config.yaml", to_yaml(claimed.config))
        return recorder

    def _run(self, config: Config, folder: Path, recorder: RunRecorder, heart: Heart) -> Outcome:
        from tune.trial.run import model_key, open_bench, run_trial

        task = self._read_task(config)
        if self._bench is None or self._bench.model_key != model_key(config):
            self._bench = None
            self._bench = open_bench(config, task, folder=model_folder(config, announce=logging.info))
        elif self._bench.task is not task:
            from dataclasses import replace

            self._bench = replace(self._bench, task=task)

        def on(phase: str, done: int, total: int) -> None:
            self._stop.check()
            if heart.lost:
                msg = "somebody took this worker for dead and ended the trial; it is left to them."
                raise Lost(msg)
            write_json(folder / "progress.json", {"phase": phase, "done": done, "total": total})

        return run_trial(config, self._bench, folder=folder, recorder=recorder, on=on, whole_steps=self._stop.held)

    def _read_task(self, config: Config) -> Task:
        key = repr((config.data, config.evaluate, config.model))
        if self._task is None or self._task[0] != key:
            self._task = (key, read_task(config))
        return self._task[1]

    def _end(self, claimed: Claim, recorder: RunRecorder | None, outcome: Outcome) -> None:
        """Tell the storage, and where it takes the result, the run."""
        if not end(self._study, claimed.number, outcome, **self._how(outcome)) or recorder is None:
            return
        if outcome.reason:
            recorder.tags({"tune.reason": outcome.reason, "tune.message": outcome.message})
        ends = {"interrupted": RunStatus.killed, None: RunStatus.finished}
        recorder.finish(ends.get(outcome.reason, RunStatus.failed))

    def _how(self, outcome: Outcome) -> dict[str, Any]:
        assert self._config.sweep is not None
        if outcome.state is State.complete:
            return {"value": outcome.metrics[self._config.sweep.objective.metric]}
        return {"retries": retries_after(outcome.reason, self._config)}


def _publish(recorder: RunRecorder, folder: Path, outcome: Outcome) -> None:
    recorder.metrics(outcome.metrics)
    recorder.artifact(folder / "scores.json")
    recorder.artifact(folder / "adapter", folder="adapter")


def _failure(error: BaseException) -> Outcome:
    """Return how an error ended the trial; the traceback of a bug goes to the worker's log."""
    if isinstance(error, TrialError):
        return _failed(error.reason, str(error))
    if isinstance(error, TuneError):
        return _failed("setup", str(error))
    traceback.print_exception(error)
    return _failed("bug", f"{type(error).__name__}: {error}")


def _failed(reason: str, message: str) -> Outcome:
    return Outcome(state=State.failed, reason=reason, message=message)
