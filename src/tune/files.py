"""Files that are whole or not there, and folders that tell whether they were finished and left alone."""

import hashlib
import json
import os
from pathlib import Path
from typing import TypedDict, cast

MANIFEST = "manifest.json"


class FileEntry(TypedDict):
    """What is remembered of one file."""

    bytes: int
    mtime_ns: int
    sha256: str


class Manifest(TypedDict):
    """The last file written into a folder; without it the folder is not used."""

    recipe: str
    files: dict[str, FileEntry]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, content: object) -> None:
    """Write JSON beside its place and rename it, so that nobody reads half of it; the folder is made.

    Raises:
        ValueError: A number is NaN or infinite, which JSON has no word for.
    """
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text, its newlines as they are, beside its place and rename it; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8", newline="")
    beside.replace(path)


def write_manifest(folder: Path, recipe: str) -> None:
    """Write down every file of a folder, and the recipe it was made by; to be called last."""
    files = {path.name: file_entry(path, None) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    manifest: Manifest = {"recipe": recipe, "files": files}
    write_json(folder / MANIFEST, manifest)


def is_intact(folder: Path, recipe: str) -> bool:
    """Return whether a folder was finished, by this recipe, and has not been changed since."""
    manifest = read_manifest(folder)
    if manifest is None or manifest["recipe"] != recipe:
        return False
    return all(_is_same(folder / name, entry) for name, entry in manifest["files"].items())


def _is_same(path: Path, entry: FileEntry) -> bool:
    if not path.is_file() or path.stat().st_size != entry["bytes"]:
        return False
    return file_entry(path, entry)["sha256"] == entry["sha256"]


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest, or None where there is none that can be read."""
    content = read_json(folder / MANIFEST)
    if content is None or not isinstance(content.get("files"), dict) or not isinstance(content.get("recipe"), str):
        return None
    return cast("Manifest", content)


def read_json(path: Path) -> dict[str, object] | None:
    """Return the JSON object in a file, or None where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def file_entry(path: Path, known: FileEntry | None) -> FileEntry:
    """Return what is remembered of a file; its hash is taken from `known` while size and time of change stay."""
    stat = path.stat()
    if known is not None and (known["bytes"], known["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns):
        return known
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file_sha256(path)}
