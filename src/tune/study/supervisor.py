"""Starts workers, watches them, and shows how far they are; there is no torch in it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from tune.config.schema import Config, WorkersConfig
from tune.errors import StudyError
from tune.study.claim import enqueue_grid, running, tell
from tune.study.storage import StudyFolder, snapshot
from tune.track.mlflow_store import MlflowStore
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

    def moved(self, study: StudyRecord, progress: dict[int, str]) -> None:
        """Show what is going on; progress is by trial number."""


@dataclass(slots=True)
class Supervisor:
    """Runs one study to its end with workers on this machine."""

    study: Any
    config: Config
    runs: Path
    watcher: Watcher
    _workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _deaths: int = 0
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
        self._reap(alive=set())
        enqueue_grid(self.study, self.config)
        seen = {trial.number for trial in snapshot(self.study).trials if trial.state in {"complete", "failed"}}
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            while True:
                now = snapshot(self.study)
                for trial in now.trials:
                    if trial.state in {"complete", "failed"} and trial.number not in seen:
                        seen.add(trial.number)
                        self._deaths = 0
                        self.watcher.ended(now, trial)
                self.watcher.moved(now, self._progress(now))
                if not self._keep_staffed(now):
                    return snapshot(self.study)
                time.sleep(_POLL_S)
        finally:
            self._stop()

    @property
    def _folder(self) -> StudyFolder:
        return StudyFolder(runs=self.runs, name=self.study.study_name)

    def _keep_staffed(self, now: StudyRecord) -> bool:
        """Start workers while there is work; return whether anything is going on."""
        gone = [worker for worker in self._workers if worker.poll() is not None]
        for worker in gone:
            self._workers.remove(worker)
            if worker.returncode:
                self._bury(worker)
        left = now.n_trials - now.done - len([t for t in now.trials if t.state == "running"])
        wanted = min(n_workers(self.config), left + len(self._workers))
        while len(self._workers) < wanted and left > 0:
            self._workers.append(self._start())
            left -= 1
        return bool(self._workers) or now.done < now.n_trials

    def _bury(self, worker: subprocess.Popen[bytes]) -> None:
        self._deaths += 1
        self._reap(alive={str(other.pid) for other in self._workers}, died=worker)
        if self._deaths >= _MOST_DEATHS:
            tail = " ".join(self._log.read_text(encoding="utf-8", errors="replace").split("\n")[-4:]).strip()
            msg = f"{self._deaths} workers died in a row without a result. Their log, {self._log}, ends: {tail}"
            raise StudyError(msg)

    def _start(self) -> subprocess.Popen[bytes]:
        self._folder.path.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tune", "worker", self.study.study_name, f"track.folder='{self.runs}'"]
        if self.config.study.storage:
            command.append(f"study.storage='{self.config.study.storage}'")
        threads = n_threads(self.config)
        slot = self._started
        self._started += 1
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is ours to pass on
                env=os.environ | thread_variables(threads) | _gpu(slot),
            )

    @property
    def _log(self) -> Path:
        return self._folder.path / "workers.log"

    def _reap(self, *, alive: set[str], died: subprocess.Popen[bytes] | None = None) -> None:
        """End the trials whose worker is gone: one that died now has failed, one left by an earlier start goes on."""
        store = MlflowStore(self.runs, self.config.track.experiment)
        for trial in running(self.study):
            worker = trial.user_attrs.get("worker")
            if worker in alive or (died is not None and worker != str(died.pid)):
                continue
            how = _how(died.returncode) if died else "its worker was gone when the study was started again"
            outcome = Outcome(state=State.failed, reason="killed", message=f"{how}.")
            tell(self.study, trial.number, outcome, self.config, again=died is None)
            run_id = trial.user_attrs.get("run_id")
            if run_id:
                recorder = store.open(run_id)
                recorder.tags({"tune.reason": "killed", "tune.message": outcome.message})
                recorder.finish(RunStatus.failed)

    def _stop(self) -> None:
        """End all workers; they put their trials back in the queue."""
        for worker in self._workers:
            _send(worker, signal.SIGTERM)
        until = time.monotonic() + _STOP_S
        for worker in self._workers:
            try:
                worker.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _send(worker, signal.SIGKILL)
                worker.wait()
        if self._workers:
            self._reap(alive=set())

    def _progress(self, now: StudyRecord) -> dict[int, str]:
        found = {}
        for trial in now.trials:
            if trial.state == "running":
                found[trial.number] = _read_progress(self._folder.trial(trial.number) / "progress.json")
        return found


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


def _gpu(slot: int) -> dict[str, str]:
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


def _read_progress(file: Path) -> str:
    try:
        now = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "starting"
    return f"{now['phase']} {now['done']}/{now['total']}"


__all__ = ["Supervisor", "Watcher", "WorkersConfig", "n_threads", "n_workers", "thread_variables"]
