"""Shut this process in: namespaces, limits, no rights, a filter of system calls. Only the standard library is used."""

import ctypes
import errno
import os
import resource
import select
import signal
import sys
from pathlib import Path
from typing import Any

_PDEATHSIG, _SECCOMP, _NO_NEW_PRIVS, _FILTER_MODE = 1, 22, 38, 2  # linux/prctl.h, linux/seccomp.h
_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER = 0x00020000, 0x04000000, 0x08000000, 0x10000000  # linux/sched.h
_NEWPID, _NEWNET = 0x20000000, 0x40000000
_NOSUID, _NODEV, _BIND, _RECURSIVE, _PRIVATE, _DETACH = 2, 4, 4096, 16384, 1 << 18, 2  # linux/mount.h, sys/mount.h
_MOUNT_SETATTR, _HERE, _AT_RECURSIVE, _ATTRIBUTES = 442, -100, 0x8000, 1 | 2 | 4  # read-only, no setuid, no devices
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h, version 3

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Let the kernel kill this process when the one that started it ends."""
    _call("prctl", _PDEATHSIG, signal.SIGKILL)


def shut_in(job: dict[str, Any], *, keep: tuple[int, int]) -> None:
    """Give up everything that the program must not have.

    Raises:
        OSError: The machine does not allow a step of it.
    """
    die_with_parent()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    highest = max(keep)
    for descriptor in range(3, highest):
        if descriptor not in keep:
            _close(descriptor)
    os.closerange(highest + 1, 256)
    parent = select.poll()
    parent.register(keep[0], 0)
    if parent.poll(0):  # nobody reads that pipe: the parent was gone before the first line
        os._exit(1)
    if job["namespaces"]:
        _move_into(Path.cwd(), job["seen"])
    # The first process of a namespace does not die of a signal that it has no handler for; elsewhere, let it be alike.
    for alarm in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF):
        signal.signal(alarm, signal.SIG_IGN)
    for name, limit in job["limits"].items():
        _limit(getattr(resource, name), limit)
    header, none = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    _call("capset", header, none)
    _filter(job["filter"])


def _limit(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (least, least))


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise


def _filter(instructions: list[tuple[int, int, int, int | None]]) -> None:
    own = os.getpid()
    packed = b"".join(
        code.to_bytes(2, sys.byteorder)
        + bytes((yes, no))
        + (own if operand is None else operand).to_bytes(4, sys.byteorder)
        for code, yes, no, operand in instructions
    )

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _SECCOMP, _FILTER_MODE, ctypes.byref(Program(len(instructions), packed)))


def leave_namespaces() -> None:
    """Let the children have processes, mounts, network, names and messages of their own."""
    user, group = os.getuid(), os.getgid()
    own = _NEWNS | _NEWNET | _NEWPID | _NEWIPC | _NEWUTS
    if not user:
        try:
            _call("unshare", own)
        except PermissionError:  # root of a container; as any user then
            pass
        else:
            return
    _call("unshare", own | _NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _move_into(root: Path, seen: list[str]) -> None:
    """Make a folder the root of all files, with some folders of the machine in it, everything read-only."""
    _call("mount", None, b"/", None, _RECURSIVE | _PRIVATE, None)
    _call("mount", b"tmpfs", bytes(root), b"tmpfs", _NOSUID | _NODEV, b"size=1m,mode=755")
    for name in seen:
        path, inside = Path(name), root / name[1:]
        if path.is_symlink():
            inside.symlink_to(path.readlink())
        elif path.is_dir():
            inside.mkdir(parents=True)
            _call("mount", bytes(path), bytes(inside), None, _BIND | _RECURSIVE, None)
    attributes = (ctypes.c_uint64 * 4)(_ATTRIBUTES, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    _call("syscall", _MOUNT_SETATTR, _HERE, bytes(root), _AT_RECURSIVE, ctypes.byref(attributes), size)
    os.chdir(root)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", _DETACH)
    os.chdir("/")


def _call(name: str, *arguments: Any) -> None:
    """Call the C library.

    Raises:
        OSError: It failed; the text names the call.
    """
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    if getattr(_libc, name)(*wide) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
