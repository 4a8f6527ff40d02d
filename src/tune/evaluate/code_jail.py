"""Where a program that a model wrote is run with its tests, and how that ended.

Each program has a fresh Python process in a session and an empty folder of its own, under limits of processor time,
memory and files, behind a filter of system calls: no network, no file written, no process started. Where the machine
allows it, the process also has namespaces of its own, in which there is nothing to reach. What this holds against, and
what it does not, stands in docs/decisions/code.md.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import tune
from tune.config.code import CodeConfig, Jail
from tune.errors import EvaluationError
from tune.evaluate.code_filter import build_filter

Verdict = Literal["right", "wrong", "error", "syntax", "empty", "exit", "timeout", "memory", "forbidden", "crash"]

Keeper = subprocess.Popen[bytes]

WALL_FACTOR = 4
"""Seconds on the clock for each second of processor time that a program may take: a busy machine is no verdict."""

SLACK_S = 60.0
"""The keeper is given up after so many more seconds."""

MAX_FILES = 64
MAX_THREADS = 64
_KEEPER = f"""
import sys
sys.path.insert(0, {str(Path(tune.__file__).parents[1])!r})
from tune.evaluate.code_keeper import main
del sys.path[0]
main()
"""

_CHECK = """
import os, socket, threading
import bisect, collections, datetime, decimal, heapq, itertools, json, math, random, re, string, typing
def refused(call, *arguments):
    try:
        call(*arguments)
    except PermissionError:
        return True
    return False
assert refused(socket.socket)
assert refused(os.fork)
assert refused(os.kill, os.getppid(), 0)
assert refused(open, "written", "w")
assert refused(os.mkdir, "made")
assert refused(os.execv, "/bin/true", ["true"])
thread = threading.Thread(target=int)
thread.start()
thread.join()
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeScore:
    """How a program with its tests ended, and why."""

    verdict: Verdict
    detail: str
    """In words, for a person who reads failures."""

    @property
    def right(self) -> bool:
        """Return whether it came to the end of its tests."""
        return self.verdict == "right"


class NoJail(Exception):  # noqa: N818 - a state of the machine
    """A process cannot be shut in; the text says at which step."""


def run_program(
    programs: list[str], limits: CodeConfig, jail: Jail, *, running: set[Keeper] | None = None
) -> CodeScore:
    """Return how the first of the programs ends that can be compiled.

    Args:
        programs: Readings of one reply, each with its tests, the likeliest first.
        limits: Of time and memory.
        jail: namespaces or filter, as `check_jail` found it.
        running: Holds the process while it runs, for who must end it early.

    Raises:
        EvaluationError: The process could not be shut in, or did not answer.
    """
    try:
        return _run(programs, limits, jail, set() if running is None else running)
    except NoJail as error:
        msg = f"a program could not be shut in ({error}), although one could before. Start the evaluation again."
        raise EvaluationError(msg) from error


def check_jail(limits: CodeConfig) -> Jail:
    """Return what keeps programs in on this machine, found by shutting one in that tries to get out.

    Raises:
        EvaluationError: The machine does not have what is asked for, or nothing.
    """
    build_filter()
    asked = [Jail.namespaces, Jail.filter] if limits.jail is Jail.auto else [limits.jail]
    lacks = {}
    for jail in asked:
        lacks[jail] = _lack(jail, limits.memory_mib)
        if lacks[jail] is None:
            return jail
    reasons = "; ".join(f"{jail}: {reason}" for jail, reason in lacks.items())
    others = "" if limits.jail is Jail.auto else ", set evaluate.code.jail=auto"
    msg = (
        f"the metric code runs what a model wrote, and evaluate.code.jail={limits.jail} cannot shut a program in on "
        f"this machine ({reasons}). Run on Linux where user namespaces or seccomp filters are allowed{others}, or take "
        "another metric in data.metrics."
    )
    raise EvaluationError(msg)


@cache
def _lack(jail: Jail, memory_mib: int) -> str | None:
    try:
        found = _run([_CHECK], CodeConfig(timeout_s=60, memory_mib=memory_mib), jail, set())
    except NoJail as error:
        return str(error)
    return None if found.right else f"{found.verdict}, {found.detail}"


def _run(programs: list[str], limits: CodeConfig, jail: Jail, running: set[Keeper]) -> CodeScore:
    job = json.dumps(_job(programs, limits, jail)).encode()
    with tempfile.TemporaryDirectory(prefix="tune-code-") as folder:
        keeper = subprocess.Popen(
            # -I but for the environment, which holds nothing else: sets of texts have one order in every run.
            [_python(), "-s", "-P", "-S", "-B", "-c", _KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
            start_new_session=True,
        )
        running.add(keeper)
        try:
            said, wrong = keeper.communicate(job, timeout=limits.timeout_s * WALL_FACTOR + SLACK_S)
        except subprocess.TimeoutExpired as error:
            msg = "the process that runs programs did not answer. Look at the machine, and start the evaluation again."
            raise EvaluationError(msg) from error
        finally:
            keeper.kill()  # what it runs dies with it
            keeper.wait()
            running.discard(keeper)
    return _read(said, wrong)


def _read(said: bytes, wrong: bytes) -> CodeScore:
    if not said:
        raise NoJail(wrong.decode(errors="replace").strip().rpartition("\n")[2] or "the process ended without a word")
    found = json.loads(said)
    if "setup" in found:
        raise NoJail(found["setup"])
    return CodeScore(verdict=found["verdict"], detail=found["detail"])


def _job(programs: list[str], limits: CodeConfig, jail: Jail) -> dict[str, Any]:
    return {
        "parent": os.getpid(),
        "programs": programs,
        "namespaces": jail is Jail.namespaces,
        "seen": _seen(),
        "filter": build_filter(),
        "wall_s": limits.timeout_s * WALL_FACTOR,
        "limits": {
            "RLIMIT_CPU": limits.timeout_s,
            "RLIMIT_AS": limits.memory_mib * 2**20,
            "RLIMIT_FSIZE": 0,
            "RLIMIT_CORE": 0,
            "RLIMIT_NOFILE": MAX_FILES,
            # Counted for all that a user runs, so of use only where the user is the namespace's own.
            **({"RLIMIT_NPROC": MAX_THREADS} if jail is Jail.namespaces else {}),
        },
    }


def _python() -> str:
    """Return Python itself, not a virtual environment's: programs have the standard library and nothing else."""
    return str(Path(sys.executable).resolve())


def _seen() -> list[str]:
    """Return the folders that Python lives in."""
    system = ["/usr", "/lib", "/lib64"]
    return [*system, *({sys.base_prefix, sys.base_exec_prefix} - {"/usr", "/usr/local"})]
