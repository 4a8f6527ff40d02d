"""Folders that are made once, kept in the cache and shared by every process: models, data, tokens.

A folder is built beside its place, gets its manifest last, and is renamed; a lock lets one
process build while the others wait. So a folder that exists under its name is whole, and
one that was damaged later is seen by its manifest and built again.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tune import files

Announce = Callable[[str], None]


def make_once(folder: Path, build: Callable[[Path], None], *, announce: Announce) -> None:
    """Build a folder, unless it is there and whole.

    Args:
        folder: Its place; the name tells one content from every other.
        build: Fills an empty folder.
        announce: Is told, in a sentence, why it takes long.

    Raises:
        OSError: The disk does not take it.
    """
    if files.is_intact(folder, folder.name):
        with contextlib.suppress(OSError):  # a cache that others share may be theirs to write
            (folder / files.MANIFEST).touch()
        return
    with _only_one(folder, announce):
        # Whoever held the lock before may have built it.
        if not files.is_intact(folder, folder.name):
            _build(folder, build, announce)


def forget_unused(parent: Path, *, days: float) -> None:
    """Remove the folders that nobody asked for in so many days; who has one of their files mapped keeps it.

    Args:
        parent: Folder of folders that `make_once` made.
        days: Since the last `make_once` of a folder.
    """
    before = time.time() - days * 24 * 3600
    for folder in parent.iterdir():
        with contextlib.suppress(OSError):  # another process was there first, or it is another user's
            if (folder / files.MANIFEST).stat().st_mtime < before:
                shutil.rmtree(folder)
                _lock_file(folder).unlink()


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _build(folder: Path, build: Callable[[Path], None], announce: Announce) -> None:
    beside = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(beside, ignore_errors=True)  # left by a process that was killed; nobody else holds the lock
    if folder.exists():
        announce(f"{folder} is incomplete or was changed: it is built again.")
    beside.mkdir()
    try:
        build(beside)
        files.write_manifest(beside, folder.name)
        if folder.exists():
            shutil.rmtree(folder)
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _only_one(folder: Path, announce: Announce) -> Iterator[None]:
    """Hold the folder's lock; say so when another process holds it. The system frees a dead process's lock."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_file(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        announce(f"Another process is preparing {folder.name}: waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
