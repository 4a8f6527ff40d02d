"""A process that holds a base model and runs trials that it claims from the study."""

import gc
import logging
import math
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tune.config.schema import Config
from tune.disk import free_bytes
from tune.errors import Interrupted, StudyError
from tune.failpoint import reach
from tune.files import write_json
from tune.study.attempts import end, let_go, retries_after, root
from tune.study.claim import Claim, claim
from tune.study.database import patiently, unless_away
from tune.study.heart import Heart, die_with_supervisor
from tune.study.launch import Launcher, forbidden
from tune.study.machine import limit_own_memory, memory_limit
from tune.study.prune import Judge
from tune.study.reaper import reap_and_close
from tune.study.record import ENDS, end_tags, record_of
from tune.study.rows import DATA, refuse_other_rows
from tune.study.sampler import load_libraries
from tune.study.signature import sign
from tune.study.smaller import in_words
from tune.study.space import read_space
from tune.study.stop import StopRequest
from tune.study.storage import StudyFolder, stored_config
from tune.track.buffer import BufferedRecorder
from tune.track.place import open_store
from tune.trial.failure import failed, failure
from tune.trial.meter import forget_peak
from tune.trial.outcome import OUTCOME, SCORES, Outcome, State
from tune.trial.task import Task, model_folder, read_task

T = TypeVar("T")

_SEND_S = 5.0
"""How long a worker waits for the record of a trial that has ended; what is left is sent later."""

_TWIN_S = 0.5

RESULT = (OUTCOME, SCORES, "adapter")
"""What a complete trial leaves in its folder."""


class Worker:
    """Claims, runs and tells until nothing is left to start."""

    def __init__(self, study: Any, runs: Path) -> None:
        self._study = study
        self._config = stored_config(study)
        self._space = read_space(self._config)
        self._folder = StudyFolder(runs=runs, name=study.study_name)
        self._store = open_store(self._config.track, runs)
        self._stop = StopRequest()
        self._name = sign()
        self._reaped = time.monotonic()
        self._was_cut_off = False
        self._bench: Any = None
        self._launcher = Launcher()
        self._task: tuple[str, Task] | None = None

    def work(self) -> None:
        """Run trials; returns when none is left or as many as `workers.trials_per_process` are done.

        Raises:
            Interrupted: The process was asked to stop; its trial is back in the queue.
            StudyError: The disk is full, or the database was away for too long.
        """
        self._stop.listen()
        die_with_supervisor()
        limit_own_memory(memory_limit(self._config))
        load_libraries(self._config.study.sampler)
        most = self._config.workers.trials_per_process
        n_done = 0
        while not most or n_done < most:
            check_room(self._folder.runs, self._config)
            began = time.monotonic()
            with self._stop.held():
                claimed = self._patiently(self._claim)
                if claimed is None:
                    return
                with unless_away():
                    claimed.trial.set_user_attr("claim_s", time.monotonic() - began)
            self._one(claimed)
            self._stop.check()
            n_done += 1

    def _claim(self) -> Claim | None:
        if time.monotonic() - self._reaped > self._config.workers.grace_s:  # a supervisor does it more often
            self._reaped = time.monotonic()
            reap_and_close(self._study, self._config, self._store, self._folder)
        if self._was_cut_off:
            let_go(self._study, self._name)
        self._was_cut_off = True
        claimed = claim(self._study, self._config, self._space, worker=self._name)
        self._was_cut_off = False
        return claimed

    def _one(self, claimed: Claim) -> None:
        folder = self._folder.trial(claimed.root)
        recorder: BufferedRecorder | None = None

        def too_long() -> bool:
            limit = self._config.workers.timeout_s
            return self._end(claimed, recorder, failed("timeout", f"it took longer than workers.timeout_s={limit:g}."))

        with Heart(self._study, claimed.trial, limits=self._config.workers, on_timeout=too_long) as heart:
            try:
                self._stop.check()
                with self._stop.held():  # a run that was made has to be known to whoever ends it
                    recorder = self._record(claimed, heart)
                self._stop.check()
                reach("trial: started")
                outcome = forbidden(self._config, claimed.point) or self._taken(claimed, heart)
                outcome = outcome or self._run(claimed, folder, recorder, heart)
                _publish(recorder, self._folder.trial(claimed.root), outcome)
            except (Exception, Interrupted) as error:  # noqa: BLE001 - one trial's bug must not end the study
                outcome = failed("interrupted", self._stop.asked) if self._stop.asked else failure(error)
            if claimed.reduced:
                again = in_words(claimed.reduced)
                note = f"trial {claimed.root} had run out of memory; it was tried again with {again}."
                outcome = replace(outcome, notes=(*outcome.notes, note))
            with self._stop.held():
                self._end(claimed, recorder, outcome)
        if recorder:
            recorder.close(_SEND_S)
        if outcome.reason == "oom":
            self._bench = None  # the next trial begins with what is free
        forget_peak()
        if outcome.reason == "disk":
            raise StudyError(disk_advice(self._folder.runs, outcome.message))

    def _record(self, claimed: Claim, heart: Heart) -> BufferedRecorder:
        from tune.config.compose import to_yaml

        recorder = record_of(claimed, self._study, self._store, self._folder)
        recorder.before = lambda: heart.confirm(self._is_stopping)
        recorder.tags({"tune.attempt": str(claimed.attempt)})
        if claimed.reduced:  # the command of the first attempt stands there
            command = claimed.trial.user_attrs["command"]
            recorder.tags({"tune.reduced": in_words(claimed.reduced), "tune.command": command})
        recorder.params({**claimed.point, "seed": claimed.config.seed})
        recorder.text("config.yaml", to_yaml(claimed.config))
        return recorder

    def _taken(self, claimed: Claim, heart: Heart) -> Outcome | None:
        """Return the result of the trial with the same configuration, when it has one; None where there is none."""
        while claimed.twin is not None:
            self._check(heart)
            trials = self._patiently(lambda: self._study.get_trials(deepcopy=False))
            alike = [trial for trial in trials if root(trial) == claimed.twin]
            last = max(alike, key=lambda trial: trial.number)
            if last.state.name == "COMPLETE":
                folder = self._folder.trial(claimed.root)
                _copy_result(self._folder.trial(claimed.twin), folder)
                note = f"trial {claimed.root} has the configuration of trial {claimed.twin}: its result was taken."
                metrics = last.user_attrs["metrics"]
                return Outcome(state=State.complete, metrics=metrics, adapter=str(folder / "adapter"), notes=(note,))
            if last.state.name != "RUNNING":
                heart.restart()
                self._patiently(lambda: claimed.trial.set_user_attr("started", time.time()))
                return None
            time.sleep(_TWIN_S)
        return None

    def _run(self, claimed: Claim, folder: Path, recorder: BufferedRecorder, heart: Heart) -> Outcome:
        from tune.trial.bench import model_key, open_bench
        from tune.trial.run import run_trial
        from tune.trial.training import Searched

        config = claimed.config
        task, model = self._read_task(config), model_folder(config, announce=logging.info)
        trials = self._patiently(lambda: self._study.get_trials(deepcopy=False))
        foreseen = self._launcher.foresee(config, task, model, seen=[t.user_attrs.get("metrics", {}) for t in trials])
        if foreseen.refusal:
            return foreseen.refusal
        if self._bench is None or self._bench.model_key != model_key(config):
            self._bench = None
            self._bench = open_bench(config, task, folder=model)
            gc.freeze()  # every training collects garbage, and need not search the libraries for it each time
        elif self._bench.task is not task:
            self._bench = replace(self._bench, task=task)

        def on(phase: str, done: int, total: int) -> None:
            self._check(heart)
            write_json(folder / "progress.json", {"phase": phase, "done": done, "total": total})

        judge = Judge(self._study, claimed.trial, self._config, patiently=self._patiently)
        searched = Searched(whole_steps=self._stop.held, on_eval=judge)
        return foreseen.told_with(
            run_trial(config, self._bench, folder=folder, recorder=recorder, on=on, searched=searched)
        )

    def _check(self, heart: Heart) -> None:
        self._stop.check()
        heart.confirm(self._is_stopping)

    def _is_stopping(self) -> bool:
        return self._stop.asked is not None

    def _read_task(self, config: Config) -> Task:
        key = repr((config.data, config.evaluate, config.model))
        if self._task is None or self._task[0] != key:
            task = read_task(config)
            known = self._patiently(lambda: self._study.user_attrs.get(DATA))
            if known and config.data == self._config.data:  # a search over data has rows of its own in each trial
                refuse_other_rows(known, task.splits, study=self._folder.name)
            self._task = (key, task)
        return self._task[1]

    def _end(self, claimed: Claim, recorder: BufferedRecorder | None, outcome: Outcome) -> bool:
        """Tell the storage, and where it takes the result, the run; return whether it did."""
        about = {"ending": uuid.uuid4().hex}
        if recorder and recorder.run_id:
            about["run_id"] = recorder.run_id  # MLflow may have been away when the trial began
        outcome, how = self._how(outcome)
        if not self._patiently(lambda: end(self._study, claimed.number, outcome, about=about, **how)):
            return False
        if recorder is None:
            return True
        recorder.before = lambda: None  # it was ours to the end
        if outcome.reason:
            recorder.tags(end_tags(outcome.reason, outcome.message, outcome.pruned_step))
        recorder.finish(ENDS.get(outcome.reason, ENDS["failed"]))
        return True

    def _how(self, outcome: Outcome) -> tuple[Outcome, dict[str, Any]]:
        if outcome.state is State.complete:
            outcome, values = told_values(outcome, self._config)
            if values is not None:
                return with_violations(outcome, self._config), {"value": values}
        return outcome, {"retries": retries_after(outcome.reason, self._config)}

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, limit_s=self._config.study.storage_wait_s, give_up=self._is_stopping)


def told_values(outcome: Outcome, config: Config) -> tuple[Outcome, list[float] | None]:
    """Return a complete trial's outcome with its objectives; where one is NaN or infinite, a failure and none."""
    assert config.sweep is not None
    values = {one.metric: outcome.metrics[one.metric] for one in config.sweep.all_objectives}
    wrong = [f"{metric} is {value}" for metric, value in values.items() if not math.isfinite(value)]
    if wrong:
        return failed("diverged", f"the objective {', and '.join(wrong)}."), None
    return outcome, list(values.values())


def with_violations(outcome: Outcome, config: Config) -> Outcome:
    """Return a complete trial's outcome with how far each guard's change is beyond its floor, by its mean.

    The sampler is told the mean: a floor inside the interval is no reason to flee from a point.
    """
    assert config.sweep is not None
    beyond = {guard.metric: -guard.room(outcome.metrics[guard.metric]) for guard in config.sweep.guards}
    return replace(outcome, violations=beyond)


def check_room(runs: Path, config: Config) -> None:
    """Refuse to start a trial where the disk has too little room.

    Raises:
        StudyError: It has less than study.free_gib.
    """
    free = free_bytes(runs) / 1024**3
    if free < config.study.free_gib:
        why = f"{free:.2f} GiB are free, and study.free_gib={config.study.free_gib:g} are asked for"
        raise StudyError(disk_advice(runs, why))


def disk_advice(runs: Path, why: str) -> str:
    """Return what to do about a full disk."""
    return (
        f"the study pauses because the disk of {runs} is full: {why.rstrip('.')}. Nothing that was finished is lost. "
        "Free some space (python -m tune clean NAME shows what can go), then give the same command again."
    )


def _copy_result(source: Path, folder: Path) -> None:
    """Copy what a trial found; where it ran on another machine, its files are there."""
    for name in RESULT:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, dirs_exist_ok=True)
        elif (source / name).is_file():
            shutil.copy2(source / name, folder / name)


def _publish(recorder: BufferedRecorder, folder: Path, outcome: Outcome) -> None:
    recorder.metrics(outcome.metrics)
    for name in RESULT:
        if (folder / name).exists():
            recorder.artifact(folder / name, folder=name if (folder / name).is_dir() else None)
