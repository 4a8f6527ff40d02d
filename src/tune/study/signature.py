"""What a worker signs its attempts with, and what the signature tells of it later.

A signature is `HOST/MACHINE PID START`: two machines may bear one host name, and containers one machine, so MACHINE
tells which table of processes the PID stands in; START tells a process from a later one with the same number.
"""

import hashlib
import os
import socket
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Signature:
    """A process, on whatever machine."""

    host: str
    machine: str
    """Which boot of which kernel, and which of its process tables."""

    pid: int
    started: str
    """When it did, by a clock that nobody sets: on Linux in ticks since the machine started."""

    def __str__(self) -> str:
        """Return the text that is stored."""
        return f"{self.host}/{self.machine} {self.pid} {self.started}"


def sign(pid: int | None = None) -> str:
    """Return the signature of a process of this machine, by default of this one."""
    pid = pid or os.getpid()
    return str(Signature(socket.gethostname(), _machine(), pid, _start_of(pid)))


def read_signature(text: str) -> Signature:
    """Return what a signature says."""
    place, pid, started = text.rsplit(" ", 2)
    host, _, machine = place.rpartition("/")
    return Signature(host, machine, int(pid), started)


def is_gone(text: str) -> bool:
    """Return whether the process is known to be gone; one of another machine never is."""
    signed = read_signature(text)
    return signed.machine == _machine() and not _runs(signed)


def _runs(signed: Signature) -> bool:
    try:
        same = _start_of(signed.pid) == signed.started
        return bool(same and psutil.Process(signed.pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _start_of(pid: int) -> str:
    """Return when a process started.

    psutil adds the time of the machine's start, which moves when its clock is set: then all would seem to be others.

    Raises:
        psutil.NoSuchProcess: There is none.
    """
    if not sys.platform.startswith("linux"):
        return f"{psutil.Process(pid).create_time():.2f}"
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError) as error:
        raise psutil.NoSuchProcess(pid) from error
    return after_name.split()[19]  # field 22 of proc(5), the name is the second


@cache
def _machine() -> str:
    """Return eight hex digits for this boot and this table of processes, which containers do not share."""
    boot, table = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.is_file():
        names = boot.read_text(encoding="ascii").strip() + (str(table.stat().st_ino) if table.exists() else "")
    else:
        names = f"{socket.gethostname()} {psutil.boot_time():.0f}"
    return hashlib.sha256(names.encode()).hexdigest()[:8]
