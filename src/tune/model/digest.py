"""Which weights these are, and whether a folder still holds what was written into it.

A file is known by its SHA-256. Hashing gigabytes at every start is slow, so a hash is
kept together with the file's size and time of change and is used again while both stay.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TypedDict, cast

from tune import paths

MANIFEST = "manifest.json"

# Written by transformers beside the facts of a model; they do not change what it computes.
_NOT_THE_MODEL = ("transformers_version", "_name_or_path")


class FileEntry(TypedDict):
    """What is remembered of one file."""

    bytes: int
    mtime_ns: int
    sha256: str


class Manifest(TypedDict):
    """The last file written into a converted folder; without it the folder is not used."""

    recipe: str
    files: dict[str, FileEntry]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, recipe: str) -> None:
    """Write down every file of a folder, and the recipe it was made by; to be called last."""
    files = {path.name: _entry(path, None) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    manifest: Manifest = {"recipe": recipe, "files": files}
    write_json(folder / MANIFEST, manifest)


def is_intact(folder: Path, recipe: str) -> bool:
    """Return whether a folder was finished, by this recipe, and has not been changed since."""
    manifest = _read_manifest(folder)
    if manifest is None or manifest["recipe"] != recipe:
        return False
    return all(_is_same(folder / name, entry) for name, entry in manifest["files"].items())


def weights_digest(folder: Path) -> str:
    """Return a SHA-256 over a model's safetensors files and its config.json.

    Two folders with the same digest compute the same numbers, wherever they stand
    and whichever version of transformers wrote them.

    Args:
        folder: Holds config.json and one or more *.safetensors.
    """
    manifest = _read_manifest(folder)
    known = manifest["files"] if manifest else _remembered(folder)
    entries = {path.name: _entry(path, known.get(path.name)) for path in sorted(folder.glob("*.safetensors"))}
    if manifest is None:
        _remember(folder, entries)
    lines = [f"{name} {entry['sha256']}" for name, entry in entries.items()]
    return hashlib.sha256("\n".join([*lines, _plain_config(folder)]).encode()).hexdigest()


def write_json(path: Path, content: object) -> None:
    """Write JSON beside its place and rename it, so that nobody reads half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(path)


def _plain_config(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return json.dumps({key: value for key, value in config.items() if key not in _NOT_THE_MODEL}, sort_keys=True)


def _entry(path: Path, known: FileEntry | None) -> FileEntry:
    stat = path.stat()
    if known is not None and (known["bytes"], known["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns):
        return known
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file_sha256(path)}


def _is_same(path: Path, entry: FileEntry) -> bool:
    if not path.is_file() or path.stat().st_size != entry["bytes"]:
        return False
    return _entry(path, entry)["sha256"] == entry["sha256"]


def _read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest, or None where there is none that can be read."""
    content = _read_json(folder / MANIFEST)
    if content is None or not isinstance(content.get("files"), dict) or not isinstance(content.get("recipe"), str):
        return None
    return cast("Manifest", content)


def _read_json(path: Path) -> dict[str, object] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _note_path(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return paths.cache_dir() / "digests" / f"{name}.json"


def _remembered(folder: Path) -> dict[str, FileEntry]:
    return cast("dict[str, FileEntry]", _read_json(_note_path(folder)) or {})


def _remember(folder: Path, entries: dict[str, FileEntry]) -> None:
    # A cache that cannot be written costs seconds at the next start, not the trial.
    with contextlib.suppress(OSError):
        _note_path(folder).parent.mkdir(parents=True, exist_ok=True)
        write_json(_note_path(folder), entries)
