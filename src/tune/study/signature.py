"""What a worker signs its attempts with, and what the signature tells of it later.

A signature is `HOST/MACHINE PID START`: two machines may bear one host name, and containers one machine, so MACHINE
tells which table of processes the PID stands in; START tells a process from a later one with the same number.
"""

import hashlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

_CLOCK_S = 1.0  # a process's start is read from a clock that may be set


@dataclass(frozen=True, slots=True)
class Signature:
    """A process, on whatever machine."""

    host: str
    machine: str
    """Which boot of which kernel, and which of its process tables."""

    pid: int
    started: float
    """Seconds since 1970."""

    def __str__(self) -> str:
        """Return the text that is stored."""
        return f"{self.host}/{self.machine} {self.pid} {self.started:.2f}"


def sign(pid: int | None = None) -> str:
    """Return the signature of a process of this machine, by default of this one."""
    process = psutil.Process(pid or os.getpid())
    return str(Signature(socket.gethostname(), _machine(), process.pid, process.create_time()))


def read_signature(text: str) -> Signature:
    """Return what a signature says."""
    place, pid, started = text.rsplit(" ", 2)
    host, _, machine = place.rpartition("/")
    return Signature(host, machine, int(pid), float(started))


def is_gone(text: str) -> bool:
    """Return whether the process is known to be gone; one of another machine never is."""
    signed = read_signature(text)
    return signed.machine == _machine() and not _runs(signed)


def _runs(signed: Signature) -> bool:
    try:
        process = psutil.Process(signed.pid)
        same = abs(process.create_time() - signed.started) < _CLOCK_S
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@cache
def _machine() -> str:
    """Return eight hex digits for this boot and this table of processes, which containers do not share."""
    boot, table = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.is_file():
        names = boot.read_text(encoding="ascii").strip() + (str(table.stat().st_ino) if table.exists() else "")
    else:
        names = f"{socket.gethostname()} {psutil.boot_time():.0f}"
    return hashlib.sha256(names.encode()).hexdigest()[:8]
