"""File systems as Linux describes them, and real errors of a real full disk."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tune.disk import NETWORK, file_system, free_bytes, is_disk_full, mounted_type, refuse_network_disk
from tune.errors import StudyError
from tune.files import write_json

MIB = 1024**2

MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
1 1 0:2 / / rw - rootfs rootfs rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 27 0:40 / /home rw,relatime shared:5 master:2 propagate_from:3 - nfs4 server:/home rw,vers=4.2
41 40 0:41 / /home/me/fast\040disk rw - xfs /dev/vdb rw
42 27 0:42 / /odd\134name\011tab rw - fuse.sshfs me@host:/ rw
43 27 0:43 / /twice rw - cifs //server/share rw
44 43 0:44 / /twice rw - tmpfs tmpfs rw
broken line
""".strip()


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "ext4"),
        ("/srv/runs", "ext4"),
        ("/proc/self", "proc"),
        ("/home", "nfs4"),
        ("/home/me", "nfs4"),
        ("/home/me/fast disk", "xfs"),
        ("/home/me/fast disk/runs", "xfs"),
        ("/home/me/fast diskette", "nfs4"),
        ("/homework", "ext4"),
        ("/odd\\name\ttab/x", "fuse.sshfs"),
        ("/twice/x", "tmpfs"),
    ],
)
def test_the_innermost_and_last_mount_counts(place: str, kind: str) -> None:
    assert mounted_type(Path(place), MOUNTS) == kind


def test_no_mount_at_all_is_unknown() -> None:
    assert mounted_type(Path("/x"), "") == "unknown"


def test_a_folder_that_does_not_exist_yet_is_where_its_parent_is(tmp_path: Path) -> None:
    link = tmp_path / "link"
    (tmp_path / "real").mkdir()
    link.symlink_to(tmp_path / "real")
    mounts = f"1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / {tmp_path}/real rw - nfs b rw"

    assert file_system(link / "not" / "yet", mounts=mounts) == "nfs"
    assert file_system(tmp_path / "not" / "yet", mounts=mounts) == "ext4"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_this_machine_tells_what_proc_is() -> None:
    assert file_system(Path("/proc/self/status")) == "proc"


@pytest.mark.parametrize("kind", sorted(NETWORK))
def test_sqlite_on_another_machines_disk_is_refused_with_a_way_out(tmp_path: Path, kind: str) -> None:
    mounts = f"1 0 8:1 / / rw - {kind} server:/runs rw"

    with pytest.raises(StudyError) as error:
        refuse_network_disk(tmp_path / "optuna.db", mounts=mounts)

    for part in (str(tmp_path), f"({kind})", "locks", "track.folder", "study.storage=postgresql+psycopg://"):
        assert part in str(error.value)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "unknown", "fuse.ntfs-3g"])
def test_sqlite_on_a_disk_of_this_machine_is_not(tmp_path: Path, kind: str) -> None:
    refuse_network_disk(tmp_path, mounts=f"1 0 8:1 / / rw - {kind} x rw")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB with 64 KiB left."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"a small file system cannot be mounted here: {done.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        (folder / "fill").write_bytes(b"x" * (2 * MIB - 64 * 1024))
        yield folder
    finally:
        # Lazily: Optuna keeps a database open that it failed to make tables in.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def test_the_room_that_is_left_is_the_small_disks(full: Path) -> None:
    assert file_system(full / "new") == "tmpfs"
    assert 0 < free_bytes(full / "new" / "folder") <= 64 * 1024


def write_safetensors(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(MIB)}, folder / "a.safetensors")


def write_text(folder: Path) -> None:
    write_json(folder / "a.json", list(range(200_000)))


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models

    vocabulary = {str(number): number for number in range(50_000)}
    Tokenizer(models.BPE(vocab=vocabulary, merges=[])).save(str(folder / "tokenizer.json"))


def write_sqlite(folder: Path) -> None:
    connection = sqlite3.connect(folder / "a.db")
    try:
        connection.execute("CREATE TABLE rows (text TEXT)")
        connection.execute("INSERT INTO rows VALUES (?)", ["x" * MIB])
        connection.commit()
    finally:
        connection.close()


def write_sqlalchemy(folder: Path) -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine(f"sqlite:///{folder / 'b.db'}")
    try:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE rows (text TEXT)"))
            connection.execute(text("INSERT INTO rows VALUES (:text)"), {"text": "x" * MIB})
    finally:
        engine.dispose()


def write_optuna(folder: Path) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'c.db'}")
    try:
        optuna.create_study(storage=storage)
    finally:
        storage.engine.dispose()


WRITERS = [write_safetensors, write_text, write_tokenizer, write_sqlite, write_sqlalchemy, write_optuna]


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_is_known_by_what_each_library_raises(full: Path, write: Callable[[Path], None]) -> None:
    with pytest.raises(Exception, match=r"\w") as error:
        write(full)

    assert is_disk_full(error.value), repr(error.value)


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_that_is_not_there_is_no_full_disk(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Exception, match=r"\w") as error:
        write(tmp_path / "file" / "folder")

    assert not is_disk_full(error.value), repr(error.value)


def test_a_quota_and_an_error_far_down_the_chain_count() -> None:
    quota = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    try:
        try:
            raise quota
        except OSError:
            json.loads("{")  # raised while the first was being looked after
    except ValueError as error:
        outer = RuntimeError("no whole adapter")
        outer.__cause__ = error

    assert is_disk_full(quota)
    assert is_disk_full(outer)


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = RuntimeError("one"), RuntimeError("two")
    first.__cause__, second.__cause__ = second, first

    assert not is_disk_full(first)
