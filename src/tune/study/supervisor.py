"""Starts workers, watches them, and shows how far they are; there is no torch in it."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from tune.config.schema import Config
from tune.errors import StudyError
from tune.study.attempts import end, mend, reap, retries_after, running, worker_name
from tune.study.claim import STOPPING, enqueue_grid
from tune.study.heart import SUPERVISOR
from tune.study.lock import study_lock
from tune.study.storage import StudyFolder, snapshot
from tune.track.place import open_store
from tune.track.recorder import RunStatus
from tune.track.records import StudyRecord, TrialRecord
from tune.trial.outcome import Outcome, State

_POLL_S = 0.5
_STOP_S = 20
_MOST_DEATHS = 3
"""Workers that may die one after another without any trial ending; then something is wrong with all of them."""


class Watcher(Protocol):
    """Is told what happens."""

    def ended(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Show a trial that has just ended."""

    def moved(self, study: StudyRecord) -> None:
        """Show what is going on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Worker:
    """A worker of ours."""

    process: subprocess.Popen[bytes]
    name: str
    """What it signs its attempts with."""


@dataclass(slots=True)
class Supervisor:
    """Runs one study to its end with workers on this machine."""

    study: Any
    config: Config
    runs: Path
    watcher: Watcher
    _workers: list["_Worker"] = field(default_factory=list)
    _deaths: int = 0
    _reaped: float = 0.0
    _started: int = 0

    def run(self) -> StudyRecord:
        """Return the study when all its trials have ended.

        Raises:
            KeyboardInterrupt: Somebody asked to stop; trials that ran are back in the queue.
            StudyError: Another supervisor runs this study, or workers cannot be started.
        """
        from filelock import Timeout

        lock = self._folder.lock("supervisor")
        try:
            with lock.acquire(timeout=0):
                return self._run()
        except Timeout as error:
            msg = f"the study {self.study.study_name} is being run by another process. Wait for it, or stop it first."
            raise StudyError(msg) from error

    def _run(self) -> StudyRecord:
        self.study.set_user_attr(STOPPING, False)
        self._reap()
        enqueue_grid(self.study, self.config)
        seen = {
            trial.number for trial in snapshot(self.study, self._folder).trials if trial.state in {"complete", "failed"}
        }
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            while True:
                now = snapshot(self.study, self._folder)
                for trial in now.trials:
                    if trial.state in {"complete", "failed"} and trial.number not in seen:
                        seen.add(trial.number)
                        self._deaths = 0
                        self.watcher.ended(now, trial)
                self.watcher.moved(now)
                if not self._keep_staffed(now):
                    return snapshot(self.study, self._folder)
                time.sleep(_POLL_S)
        finally:
            self._stop()

    @property
    def _folder(self) -> StudyFolder:
        return StudyFolder(runs=self.runs, name=self.study.study_name)

    def _keep_staffed(self, now: StudyRecord) -> bool:
        """Start workers while there is work; return whether anything is going on."""
        for worker in [worker for worker in self._workers if worker.process.poll() is not None]:
            self._workers.remove(worker)
            if worker.process.returncode:
                self._bury(worker)
        if time.monotonic() - self._reaped > self.config.workers.heartbeat_s:
            self._reap()
        left = now.n_trials - now.done - len([t for t in now.trials if t.state == "running"])
        if self.study.user_attrs.get(STOPPING):
            return bool(self._workers)
        wanted = min(n_workers(self.config), left + len(self._workers))
        while len(self._workers) < wanted and left > 0:
            self._workers.append(self._start())
            left -= 1
        return bool(self._workers) or now.done < now.n_trials

    def _bury(self, worker: "_Worker") -> None:
        """End the trial of a worker of ours that died."""
        self._deaths += 1
        for trial in running(self.study):
            if trial.user_attrs.get("worker") == worker.name:
                outcome = Outcome(state=State.failed, reason="killed", message=f"{_how(worker.process.returncode)}.")
                if end(self.study, trial.number, outcome, retries=retries_after("killed", self.config)):
                    self._close_run(trial, outcome.message, reason="killed")
        if self._deaths >= _MOST_DEATHS:
            tail = " ".join(self._log.read_text(encoding="utf-8", errors="replace").split("\n")[-4:]).strip()
            msg = f"{self._deaths} workers died in a row without a result. Their log, {self._log}, ends: {tail}"
            raise StudyError(msg)

    def _start(self) -> "_Worker":
        self._folder.path.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tune", "worker", self.study.study_name, f"track.folder='{self.runs}'"]
        if self.config.study.storage:
            command.append(f"study.storage='{self.config.study.storage}'")
        threads = n_threads(self.config)
        slot = self._started
        self._started += 1
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is ours to pass on
                env=os.environ | thread_variables(threads) | gpu_variables(slot) | {SUPERVISOR: str(os.getpid())},
            )
        return _Worker(process=process, name=worker_name(process.pid))

    @property
    def _log(self) -> Path:
        return self._folder.path / "workers.log"

    def _reap(self) -> None:
        """End the attempts of workers that are gone, wherever they ran, and make the followers that nobody made."""
        self._reaped = time.monotonic()
        limits = self.config.workers
        for number in reap(self.study, grace_s=limits.grace_s, retries=retries_after("lost", self.config)):
            trial = self.study.get_trials(deepcopy=False)[number]
            self._close_run(trial, trial.user_attrs["message"], reason="lost")
        with study_lock(self.study):
            mend(self.study)

    def _close_run(self, trial: Any, message: str, *, reason: str) -> None:
        if trial.user_attrs.get("run_id"):
            recorder = open_store(self.config.track, self.runs).open(trial.user_attrs["run_id"])
            recorder.tags({"tune.reason": reason, "tune.message": message})
            recorder.finish(RunStatus.failed)

    def _stop(self) -> None:
        """End all workers; they put their trials back in the queue."""
        for worker in self._workers:
            _send(worker.process, signal.SIGTERM)
        until = time.monotonic() + _STOP_S
        for worker in self._workers:
            try:
                worker.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _send(worker.process, signal.SIGKILL)
                worker.process.wait()
        if self._workers:
            self._reap()


def n_workers(config: Config) -> int:
    """Return how many workers run at once on this machine."""
    if config.workers.count is not None:
        return config.workers.count
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    if gpus:
        return gpus
    small = config.model.path is None
    memory = int(psutil.virtual_memory().total / 1024**3 // 4)  # GiB; an embedded model's trial takes about 3
    return max(1, min(n_cores(), memory)) if small else 1


def n_threads(config: Config) -> int:
    """Return the CPU threads of each worker: cores divided by workers, so that they do not fight."""
    return config.workers.threads or max(1, n_cores() // n_workers(config))


def n_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_variables(threads: int) -> dict[str, str]:
    """Return what must stand in the environment before torch is imported."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}


def gpu_variables(slot: int) -> dict[str, str]:
    """Return what gives a process one GPU of several: trainers refuse, or split a batch over, all that they see."""
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return {"CUDA_VISIBLE_DEVICES": str(slot % gpus)} if gpus > 1 and "CUDA_VISIBLE_DEVICES" not in os.environ else {}


def _send(worker: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(worker.pid, number)
    except ProcessLookupError:
        return


def _how(returncode: int) -> str:
    if returncode < 0:
        return f"its worker was killed by {signal.Signals(-returncode).name}"
    return f"its worker exited with code {returncode}"
