"""Which system calls a tested program may make: the instructions of a seccomp filter.

All that is not listed is refused with "operation not permitted", so that a kernel's newer calls are refused too. A
filter sees numbers and flags and cannot read a path; therefore opening a file to write is refused everywhere.

Source of the numbers: asm/unistd_64.h and asm-generic/unistd.h of Linux 6.1; the tests hold them to libseccomp.
"""

import errno
import fcntl
import os
import platform
import socket
import termios
from collections.abc import Sequence
from typing import Final

from tune.errors import EvaluationError

Instruction = tuple[int, int, int, int | None]
"""Code, jump if true, jump if false, operand; None for the number of the process, which only the process knows."""

ARCHITECTURES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the tables below, and AUDIT_ARCH_… of linux/audit.h."""

PLAIN: Final[dict[str, tuple[int, int | None]]] = {
    "access": (21, None),
    "alarm": (37, None),
    "arch_prctl": (158, None),
    "brk": (12, 214),
    "chdir": (80, 49),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "close": (3, 57),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "epoll_wait": (232, None),
    "eventfd2": (290, 19),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fadvise64": (221, 223),
    "fchdir": (81, 50),
    "fstat": (5, 80),
    "fstatfs": (138, 44),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getcwd": (79, 17),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getgroups": (115, 158),
    "getitimer": (36, 102),
    "getpgid": (121, 155),
    "getpgrp": (111, None),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "getsid": (124, 156),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "lseek": (8, 62),
    "lstat": (6, None),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "pause": (34, None),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "poll": (7, None),
    "ppoll": (271, 73),
    "pread64": (17, 67),
    "pselect6": (270, 72),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "recvfrom": (45, 207),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigpending": (127, 136),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "select": (23, None),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "setitimer": (38, 103),
    "shutdown": (48, 210),
    "sigaltstack": (131, 132),
    "stat": (4, None),
    "statfs": (137, 43),
    "statx": (332, 291),
    "sysinfo": (99, 179),
    "time": (201, None),
    "times": (100, 153),
    "uname": (63, 160),
    "write": (1, 64),
    "writev": (20, 66),
}
"""Calls that are allowed with any arguments: number on x86_64 and on aarch64, None where it has none."""

JUDGED: Final[dict[str, tuple[int, int | None]]] = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "open": (2, None),
    "openat": (257, 56),
    "prlimit64": (302, 261),
    "sendto": (44, 206),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
}
"""Calls that are allowed with some arguments; see `_rules`."""

# linux/bpf_common.h: load a word at a fixed place, jump if equal, if at least, if any bit is set; return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000  # linux/seccomp.h
_REFUSE, _UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_X32 = 0x40000000
"""x86_64 kernels may know a second set of calls from this number on."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD, _CLONE_NEW = 0x00010000, 0x7E020000  # linux/sched.h
_TERMINAL = (termios.TCGETS, termios.FIOCLEX, termios.FIONCLEX, termios.FIONREAD, termios.FIONBIO)
_DESCRIPTOR = (fcntl.F_DUPFD, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_DUPFD_CLOEXEC)
"""Without F_SETOWN and F_SETSIG, which let the kernel send any signal to any process of the same user."""


def build_filter(machine: str | None = None) -> list[Instruction]:
    """Return the instructions for this machine's processor, or for another one.

    Raises:
        EvaluationError: The numbers of its system calls are not known here.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        msg = (
            f"the metric code cannot run programs on {machine}: the filter of their system calls is known for "
            f"{' and '.join(ARCHITECTURES)} alone. Run the evaluation on such a machine, or take another data.metrics."
        )
        raise EvaluationError(msg)
    column, arch = ARCHITECTURES[machine]
    made: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    for name, rule in {**_rules(), **{name: [_answer(_ALLOW)] for name in PLAIN}}.items():
        number = (PLAIN.get(name) or JUDGED[name])[column]
        if number is not None:
            made += [(_EQUAL, 0, len(rule), number), *rule]
    return [*made, _answer(_REFUSE)]


def _rules() -> dict[str, list[Instruction]]:
    """Return what is looked at in the calls that are not always allowed; each list ends in an answer."""
    no_address = [*_one_of(4, [0], high=True), *_one_of(4, [0]), _answer(_ALLOW)]
    return {
        "open": _without(1, _WRITES),
        "openat": _without(2, _WRITES),
        "ioctl": [*_one_of(1, _TERMINAL), _answer(_ALLOW)],
        "fcntl": [*_one_of(1, _DESCRIPTOR), _answer(_ALLOW)],
        "clone": [*_argument(0), (_ANY_BIT, 1, 0, _CLONE_THREAD), _answer(_REFUSE), *_without(0, _CLONE_NEW)],
        "clone3": [_answer(_UNKNOWN)],  # its flags stand in memory; the C library takes clone instead
        "tgkill": [*_one_of(0, [None]), _answer(_ALLOW)],
        "prlimit64": [*_one_of(0, [0, None]), _answer(_ALLOW)],
        "socketpair": [*_one_of(0, [socket.AF_UNIX]), _answer(_ALLOW)],
        "sendto": no_address,  # an address would reach the machine's own sockets
    }


def _argument(place: int, *, high: bool = False) -> list[Instruction]:
    return [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * place + (4 if high else 0))]


def _answer(answer: int) -> Instruction:
    return (_RETURN, 0, 0, answer)


def _without(place: int, bits: int) -> list[Instruction]:
    """Return what allows an argument that has none of the bits."""
    return [*_argument(place), (_ANY_BIT, 0, 1, bits), _answer(_REFUSE), _answer(_ALLOW)]


def _one_of(place: int, values: Sequence[int | None], *, high: bool = False) -> list[Instruction]:
    """Return what refuses an argument that is none of the values, and goes on with the others."""
    ways = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [*_argument(place, high=high), *ways, _answer(_REFUSE)]
