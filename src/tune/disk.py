"""What a folder stands on: the kind of file system, the room that is left, and whether an error means there is none."""

import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tune.errors import StudyError

UNKNOWN = "unknown"

NETWORK = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.beegfs",
        "fuse.ceph",
        "fuse.ceph-fuse",
        "fuse.cvmfs2",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.mount-s3",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "panfs",
        "smb3",
        "smbfs",
        "wekafs",
    }
)
"""File systems of other machines, by Linux's names; on some of them locks work, on none can one rely on it."""

_MOUNTS = Path("/proc/self/mountinfo")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_SAYS_FULL = re.compile(
    # OSError says the first two, sqlite the third; libraries written in Rust hide the number in their text.
    r"No space left on device|Disk quota exceeded|database or disk is full|\(os error (?:28|122)\)",
    re.IGNORECASE,
)


def file_system(path: Path, *, mounts: str | None = None) -> str:
    """Return the type of the file system that a path is on, for example ext4; `unknown` where Linux does not tell.

    Args:
        path: Need not exist; then its nearest folder that does is asked.
        mounts: What /proc/self/mountinfo says; read when not given.
    """
    place = _existing(path)
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return UNKNOWN
    return mounted_type(place, mounts)


def mounted_type(place: Path, mounts: str) -> str:
    """Return the type of the innermost mount that an absolute path is in; of two at one point, the later counts.

    Args:
        place: An absolute path without links.
        mounts: Lines as in /proc/self/mountinfo.

    Source: proc_pid_mountinfo(5): id, parent, device, root, mount point, options, any number of tags, a dash, type, ….
    """
    found, depth = UNKNOWN, 0
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 6:  # noqa: PLR2004 - id to options
            continue
        point = PurePosixPath(_unescaped(fields[4]))
        if place.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = after.split(" ")[0], len(point.parts)
    return found


def refuse_network_disk(path: Path, *, mounts: str | None = None) -> None:
    """Refuse a place where the file of a sqlite database would be another machine's.

    Args:
        path: The database, or the folder it will be made in.
        mounts: What /proc/self/mountinfo says; read when not given.

    Raises:
        StudyError: It is on a network file system.

    Source: https://www.sqlite.org/faq.html#q5 and https://www.sqlite.org/useovernet.html.
    """
    kind = file_system(path, mounts=mounts)
    if kind in NETWORK:
        msg = (
            f"{path} is on a network file system ({kind}), and sqlite cannot rely on locks there: workers would lose "
            "or damage what others wrote. Set track.folder to a folder on a local disk, or keep the study in a "
            "database server with study.storage=postgresql+psycopg://USER@HOST/DATABASE."
        )
        raise StudyError(msg)


def free_bytes(path: Path) -> int:
    """Return how much this user may still write where a path is, or will be."""
    return shutil.disk_usage(_existing(path)).free


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or what it came from, says that a disk or a quota is full.

    sqlite and libraries written in Rust (safetensors, tokenizers) raise errors of their own without a number,
    so their words are read.
    """
    return any(_says_full(link) for link in _chain(error))


def _says_full(error: BaseException) -> bool:
    return (isinstance(error, OSError) and error.errno in _FULL) or bool(_SAYS_FULL.search(str(error)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and everything it was raised from or during, each once."""
    waiting, seen = [error], set()
    while waiting:
        link = waiting.pop()
        if id(link) not in seen:
            seen.add(id(link))
            yield link
            waiting += [other for other in (link.__cause__, link.__context__) if other is not None]


def _existing(path: Path) -> Path:
    """Return the path without links, or its nearest parent that exists."""
    place = path.expanduser().resolve()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _unescaped(text: str) -> str:
    """Return a mount point as it is; the kernel writes space, tab, line feed and backslash as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)
