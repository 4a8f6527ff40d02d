"""The numbers of system calls against libseccomp's own tables, and the filter's jumps against a reading of it."""

import ctypes
import ctypes.util
import errno
import os

import pytest

from tune.evaluate.code_filter import ARCHITECTURES, JUDGED, PLAIN, Instruction, build_filter

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x80000000
OWN = 4711


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_numbers_are_those_of_libseccomp(machine: str) -> None:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("libseccomp is not installed, which knows the numbers")
    known = ctypes.CDLL(name).seccomp_syscall_resolve_name_arch
    known.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
    column, arch = ARCHITECTURES[machine]

    for call, numbers in {**PLAIN, **JUDGED}.items():
        found = known(arch, call.encode())
        assert numbers[column] == (found if found >= 0 else None), call


def answer(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the filter says to a call, worked out as linux/filter.h has it."""
    fields = {0: number, 4: ARCHITECTURES[machine][1] if arch is None else arch}
    for place, value in enumerate((*arguments, 0, 0, 0, 0, 0, 0)[:6]):
        fields |= {16 + 8 * place: value & 0xFFFFFFFF, 20 + 8 * place: value >> 32}
    instructions: list[Instruction] = build_filter(machine)
    at, word = 0, 0
    while True:
        code, yes, no, operand = instructions[at]
        value = OWN if operand is None else operand
        if code == 0x06:
            return value
        if code == 0x20:
            word, skip = fields[value], 0
        else:
            skip = yes if {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[code] else no
        at += 1 + skip


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("read", (0,), ALLOW),
        ("openat", (0, 0, os.O_RDONLY | os.O_CLOEXEC), ALLOW),
        ("openat", (0, 0, os.O_RDONLY | os.O_CREAT), EPERM),
        ("openat", (0, 0, os.O_WRONLY), EPERM),
        ("openat", (0, 0, os.O_RDWR), EPERM),
        ("openat", (0, 0, os.O_RDONLY | os.O_TRUNC), EPERM),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), EPERM),  # TIOCSTI types into a terminal
        ("fcntl", (0, 1030), ALLOW),
        ("fcntl", (0, 8, 1), EPERM),  # F_SETOWN
        ("clone", (0x3D0F00,), ALLOW),  # a thread, as the C library asks for it
        ("clone", (0x3D0F00 | 0x10000000,), EPERM),  # with a user namespace
        ("clone", (17,), EPERM),  # a process
        ("clone3", (), ENOSYS),
        ("tgkill", (OWN, OWN, 6), ALLOW),
        ("tgkill", (1, 1, 9), EPERM),
        ("prlimit64", (0,), ALLOW),
        ("prlimit64", (OWN,), ALLOW),
        ("prlimit64", (1,), EPERM),
        ("socketpair", (1,), ALLOW),
        ("socketpair", (2,), EPERM),
        ("sendto", (3, 0, 1, 0, 0), ALLOW),
        ("sendto", (3, 0, 1, 0, 1), EPERM),
        ("sendto", (3, 0, 1, 0, 1 << 32), EPERM),
    ],
)
def test_calls_are_judged_by_their_arguments(
    machine: str, call: str, arguments: tuple[int, ...], expected: int
) -> None:
    number = {**PLAIN, **JUDGED}[call][ARCHITECTURES[machine][0]]
    assert number is not None

    assert answer(machine, number, *arguments) == expected


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_unknown_calls_are_refused_and_foreign_ones_end_the_program(machine: str) -> None:
    assert answer(machine, 425) == EPERM  # io_uring_setup, on both
    assert answer(machine, 1, arch=0x40000003) == KILL  # AUDIT_ARCH_I386
    assert answer(machine, 0x40000000) == KILL
    assert len(build_filter(machine)) < 4096  # the kernel's limit
