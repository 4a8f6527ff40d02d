"""Run one untrusted program with its tests: the process that `code_jail` starts. Only the standard library is used.

The keeper reads its job on standard input, forks, shuts the child in, watches it, and prints one JSON object. Only the
child runs the program. It says how the tests ended on a pipe of its own, after random bytes that the keeper drew: what
the program prints goes nowhere, and a program that ends early has said nothing.
"""

import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any, NoReturn

from tune.evaluate.code_enclosure import die_with_parent, leave_namespaces, shut_in
from tune.evaluate.code_inmate import ended, run

_MOST_SAID = 65_536
"""Bytes that are kept of what the child says."""


def main() -> None:
    """Do the job on standard input, and print how it ended, or {"setup": why} where the child could not be shut in."""
    job: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    die_with_parent()
    if os.getppid() != job["parent"]:  # it was gone before the line above
        os._exit(1)
    try:
        if job["namespaces"]:
            leave_namespaces()
    except OSError as error:
        _say({"setup": str(error)})
        return
    nonce = os.urandom(16)
    (problem, tell), (report, say) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        _child(job, nonce, tell, say)
    os.close(tell)
    os.close(say)
    refused = os.read(problem, _MOST_SAID)  # until the child is shut in
    _say({"setup": refused.decode()} if refused else _watch(child, report, nonce, job))
    if refused:
        os.waitpid(child, 0)


def _say(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()


def _child(job: dict[str, Any], nonce: bytes, tell: int, say: int) -> NoReturn:
    try:
        shut_in(job, keep=(tell, say))
    except Exception as error:  # noqa: BLE001 - whatever it is, the program must not run
        os.write(tell, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    os.close(tell)
    no_memory = nonce + json.dumps(ended("memory", "MemoryError")).encode()  # made while there is some
    try:
        said = nonce + json.dumps(run(job["programs"])).encode()
    except MemoryError:
        said = no_memory
    os.write(say, said)
    os._exit(0)


def _watch(child: int, report: int, nonce: bytes, job: dict[str, Any]) -> dict[str, Any]:
    """Return how the child ended, which is killed when its time is over."""
    ends_at = time.monotonic() + job["wall_s"]
    said = _listen(report, ends_at)
    while time.monotonic() < ends_at:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return _judge(said, nonce, os.waitstatus_to_exitcode(status), usage, job)
        time.sleep(0.001)  # it closed its pipe, and is about to end or goes on
    os.kill(child, signal.SIGKILL)
    os.wait4(child, 0)
    return ended("timeout", f"took longer than {job['wall_s']:g} s")


def _listen(report: int, ends_at: float) -> bytes:
    """Return the beginning of what is said until everybody has closed the pipe."""
    said = b""
    while (left := ends_at - time.monotonic()) > 0:
        if not select.select([report], [], [], left)[0]:
            break
        more = os.read(report, _MOST_SAID)
        if not more:
            break
        said += more[: _MOST_SAID - len(said)]
    return said


def _judge(said: bytes, nonce: bytes, code: int, usage: resource.struct_rusage, job: dict[str, Any]) -> dict[str, Any]:
    if said.startswith(nonce):
        found: dict[str, Any] = json.loads(said[len(nonce) :])
        return found
    if said:
        return ended("forbidden", "wrote to a pipe that is not its own")
    if code >= 0:
        return ended("exit", f"ended with code {code} before its tests did")
    limit = job["limits"]["RLIMIT_CPU"]
    if code == -signal.SIGKILL and usage.ru_utime + usage.ru_stime > limit - 0.5:
        return ended("timeout", f"took {limit} s of processor time")
    by_signal = {
        signal.SIGKILL: ("memory", "was killed by the kernel"),
        signal.SIGSYS: ("forbidden", "made a system call of another processor"),
    }
    return ended(*by_signal.get(signal.Signals(-code), ("crash", signal.Signals(-code).name)))
