"""The worker processes of one supervisor on this machine."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tune.config.schema import Config
from tune.study.database import VARIABLE, is_default, storage_url
from tune.study.heart import SUPERVISOR
from tune.study.machine import gpu_variables, n_threads, thread_variables
from tune.study.signature import sign

_STOP_S = 20
_LOG_LINES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A worker of ours."""

    process: subprocess.Popen[bytes]
    signature: str
    """What it signs its attempts with."""

    slot: int
    """Its place in the crew, which decides its GPU."""


@dataclass(slots=True)
class Crew:
    """Starts workers, notices their ends, and ends them."""

    study_name: str
    config: Config
    runs: Path
    log: Path
    """What workers print."""

    members: list[Member] = field(default_factory=list)
    _frozen_since: dict[int, float] = field(default_factory=dict)

    def start(self) -> None:
        """Start one more worker, in a process group of its own: a Ctrl-C is the supervisor's to pass on."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        slot = next(i for i in range(len(self.members) + 1) if i not in {member.slot for member in self.members})
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tune", "worker", self.study_name, f"track.folder='{self.runs}'"],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=self._environment(slot),
            )
        self.members.append(Member(process=process, signature=sign(process.pid), slot=slot))

    def take_dead(self) -> list[Member]:
        """Return the workers whose process has ended; they are members no more."""
        dead = [member for member in self.members if member.process.poll() is not None]
        self.members = [member for member in self.members if member not in dead]
        return dead

    def take_frozen(self, silent: set[str], *, grace_s: float) -> list[Member]:
        """End the workers that do nothing any more, and return them.

        Args:
            silent: Signatures of workers that have given no sign of life for longer than their grace.
            grace_s: How long a process may be stopped: one that holds a lock gives no sign at all and blocks the rest.
        """
        for member in self.members:
            if _is_stopped(member.process.pid):
                self._frozen_since.setdefault(member.process.pid, time.monotonic())
            else:
                self._frozen_since.pop(member.process.pid, None)
        late = time.monotonic() - grace_s
        frozen = [
            member
            for member in self.members
            if member.signature in silent or self._frozen_since.get(member.process.pid, math.inf) < late
        ]
        for member in frozen:
            self.kill(member)
        return frozen

    def kill(self, member: Member) -> None:
        """End a worker and all that it started, at once."""
        _send(member.process, signal.SIGKILL)
        member.process.wait()
        self.members = [other for other in self.members if other is not member]

    def stop(self) -> None:
        """End all workers; they put their trials back in the queue. One that does not is killed after a while."""
        for member in self.members:
            _send(member.process, signal.SIGTERM)
            _send(member.process, signal.SIGCONT)  # one that was stopped could not hear it
        until = time.monotonic() + _STOP_S
        for member in list(self.members):
            try:
                member.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.kill(member)
        self.members = []

    def last_words(self) -> str:
        """Return the end of the workers' log, in one line."""
        if not self.log.is_file():
            return ""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return " ".join(line.strip() for line in lines[-_LOG_LINES - 1 :]).strip()

    def _environment(self, slot: int) -> dict[str, str]:
        own = {SUPERVISOR: str(os.getpid())} | place_variables(self.config, self.runs)
        return os.environ | thread_variables(n_threads(self.config)) | gpu_variables(slot) | own


def place_variables(config: Config, runs: Path) -> dict[str, str]:
    """Return what tells a process where the study's database is.

    An address on the command line could be read by everybody on the machine, and may hold a password.
    """
    return {} if is_default(config) else {VARIABLE: storage_url(config, runs)}


def how_it_ended(returncode: int) -> str:
    """Return in words how a worker's process ended."""
    if returncode < 0:
        named = {number.value: number.name for number in signal.Signals}
        return f"its worker was killed by {named.get(-returncode, f'signal {-returncode}')}"
    return f"its worker exited with code {returncode}"


def _is_stopped(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
