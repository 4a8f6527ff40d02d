"""Machines that lack namespaces, or filters too, made of this one by a filter of ours: what is refused, and why."""

import platform
import subprocess
import sys

import pytest

from tune.evaluate.code_filter import ARCHITECTURES

MACHINE = """
import errno, sys
from tune.config.code import CodeConfig, Jail
from tune.errors import EvaluationError
from tune.evaluate.code_enclosure import _filter
from tune.evaluate.code_jail import check_jail, run_program

no, allow = 0x50000 | errno.EPERM, 0x7FFF0000
unshare, prctl = {numbers}
deny = [(0x20, 0, 0, 0), (0x15, 0, 1, unshare), (0x06, 0, 0, no)]
if {no_filter}:
    deny += [(0x15, 0, 3, prctl), (0x20, 0, 0, 16), (0x15, 0, 1, 22), (0x06, 0, 0, no)]  # PR_SET_SECCOMP
_filter([*deny, (0x06, 0, 0, allow)])
try:
    print(check_jail(CodeConfig(jail=Jail("{asked}"))))
    print(run_program(["import os; os.fork()"], CodeConfig(), Jail.filter).verdict)
except EvaluationError as error:
    print(error)
"""

NUMBERS = {"x86_64": (272, 157), "aarch64": (97, 167)}
"""Of unshare and prctl; asm/unistd_64.h and asm-generic/unistd.h of Linux 6.1."""


def said(*, asked: str, no_filter: bool) -> str:
    if platform.system() != "Linux" or platform.machine() not in ARCHITECTURES:
        pytest.skip(f"programs are not run on {platform.system()} {platform.machine()}")
    program = MACHINE.format(numbers=NUMBERS[platform.machine()], asked=asked, no_filter=no_filter)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_without_namespaces_the_filter_is_taken() -> None:
    assert said(asked="auto", no_filter=False) == "filter\nforbidden\n"


def test_namespaces_that_are_asked_for_are_not_replaced_by_less() -> None:
    told = said(asked="namespaces", no_filter=False)

    assert "evaluate.code.jail=namespaces cannot shut a program in on this machine (namespaces: " in told
    assert "unshare: Operation not permitted" in told
    assert "set evaluate.code.jail=auto, or take another metric in data.metrics." in told


def test_a_machine_with_neither_is_refused_with_both_reasons() -> None:
    told = said(asked="auto", no_filter=True)

    assert "(namespaces: [Errno 1] unshare: Operation not permitted; filter: " in told
    assert "prctl: Operation not permitted)" in told
    assert "Run on Linux where user namespaces or seccomp filters are allowed, or take another metric" in told
