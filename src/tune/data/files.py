"""Which files a path means, what kind each is, and the digest of what stands in them."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tune.data.rows import Row, json_lines, json_rows
from tune.data.tables import csv_rows, parquet_rows
from tune.data.text import unreadable
from tune.errors import DataError
from tune.files import file_sha256


@dataclass(frozen=True, slots=True)
class Kind:
    """A way in which a file holds rows."""

    name: str
    rows: Callable[[Path], Iterator[Row]]


def _tab_rows(file: Path) -> Iterator[Row]:
    return csv_rows(file, delimiter="\t")


_LINES = Kind("JSON lines", json_lines)

KINDS = {
    ".jsonl": _LINES,
    ".ndjson": _LINES,
    ".json": Kind("JSON", json_rows),
    ".csv": Kind("CSV", csv_rows),
    ".tsv": Kind("TSV", _tab_rows),
    ".parquet": Kind("Parquet", parquet_rows),
}
"""What is read, by the ending of the file's name in lower case."""

_ENDINGS = ", ".join(KINDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The files that a path means."""

    files: dict[str, Path]
    """Name relative to the folder, with forward slashes, to the file; in the order of the names."""

    others: tuple[str, ...] = ()
    """Names in the folder that are left out, because their ending says nothing that is read."""


def find(path: str, *, setting: str) -> Found:
    """Return the file that a path names, or all of a folder and the folders in it; hidden ones are left out.

    Args:
        path: File or folder; `~` is the user's own.
        setting: Key that the path comes from, for complaints.

    Raises:
        DataError: There is nothing at the path, or nothing in the folder that is read.
    """
    place = Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises for a user whom nobody knows
    if os.path.isfile(place):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        if kind_of(place) is None:
            msg = f"{setting}={path} has an ending that is not read. There is: {_ENDINGS}. Rename or convert the file."
            raise DataError(msg)
        return Found(files={_readable(place.name): place})
    if not os.path.isdir(place):  # noqa: PTH112
        msg = f"{setting}={path} does not exist. Give the path of a file; it is relative to the folder you are in."
        raise DataError(msg)
    found = {_readable(file.relative_to(place).as_posix()): file for file in _below(place)}
    files = {name: file for name, file in sorted(found.items()) if kind_of(file) and file.is_file()}
    if not files:
        msg = f"{setting}={path} holds no file of rows. Files that end in {_ENDINGS} are read; put one there."
        raise DataError(msg)
    return Found(files=files, others=tuple(sorted(found.keys() - files.keys())))


def kind_of(file: Path) -> Kind | None:
    """Return how a file holds its rows, or None where its ending is not known."""
    return KINDS.get(file.suffix.lower())


def content_digest(files: dict[str, Path]) -> str:
    """Return the SHA-256 of files' names (relative, as in Found) and contents; no row is looked at.

    Raises:
        DataError: A file cannot be read.
    """
    whole = hashlib.sha256()
    for name, file in files.items():
        try:
            whole.update(f"{name}\0{file_sha256(file)}\0".encode())
        except OSError as error:
            raise unreadable(file, error) from error
    return whole.hexdigest()


def _readable(name: str) -> str:
    """Return a file's name that can be printed and kept: bytes that are not UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _below(folder: Path) -> Iterator[Path]:
    """Yield everything in a folder that is not hidden; a folder behind a link is named, but not entered."""

    def fail(error: OSError) -> None:
        raise unreadable(Path(error.filename), error) from error

    for inner, folders, names in os.walk(folder, onerror=fail):
        yield from (Path(inner) / name for name in folders if (Path(inner) / name).is_symlink())
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(inner) / name for name in names if not name.startswith("."))
