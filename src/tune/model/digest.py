"""Which weights these are, and whether a folder still holds what was written into it.

A file is known by its SHA-256. Hashing gigabytes at every start is slow, so a hash is
kept together with the file's size and time of change and is used again while both stay.
"""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import cast

from tune import paths
from tune.files import FileEntry, file_entry, file_sha256, read_json, read_manifest, write_json

# Written by transformers beside the facts of a model; they do not change what it computes.
_NOT_THE_MODEL = ("transformers_version", "_name_or_path")

_TOKENIZER = (
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model", "*.tiktoken"),
    *("spiece*", "chat_template*", "additional_chat_templates/*"),
)
"""Files of a tokenizer, as transformers names them."""


def weights_digest(folder: Path, *, with_code: bool = False) -> str:
    """Return a SHA-256 over a model's safetensors files and its config.json.

    Two folders with the same digest compute the same numbers, wherever they stand
    and whichever version of transformers wrote them.

    Args:
        folder: Holds config.json and one or more *.safetensors.
        with_code: The model's own *.py files run, so they count too.
    """
    manifest = read_manifest(folder)
    known = manifest["files"] if manifest else _remembered(folder)
    entries = {path.name: file_entry(path, known.get(path.name)) for path in sorted(folder.glob("*.safetensors"))}
    if manifest is None:
        _remember(folder, entries)
    lines = [f"{name} {entry['sha256']}" for name, entry in entries.items()]
    if with_code:
        lines += [f"{path.name} {file_sha256(path)}" for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256("\n".join([*lines, _plain_config(folder)]).encode()).hexdigest()


def tokenizer_digest(folder: Path) -> str:
    """Return a SHA-256 over the files that decide how a tokenizer writes a text, the chat template among them."""
    found = sorted({file for pattern in _TOKENIZER for file in folder.glob(pattern) if file.is_file()})
    lines = [f"{file.relative_to(folder)} {file_sha256(file)}" for file in found]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _plain_config(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return json.dumps({key: value for key, value in config.items() if key not in _NOT_THE_MODEL}, sort_keys=True)


def _note_path(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return paths.cache_dir() / "digests" / f"{name}.json"


def _remembered(folder: Path) -> dict[str, FileEntry]:
    return cast("dict[str, FileEntry]", read_json(_note_path(folder)) or {})


def _remember(folder: Path, entries: dict[str, FileEntry]) -> None:
    # A cache that cannot be written costs seconds at the next start, not the trial.
    with contextlib.suppress(OSError):
        _note_path(folder).parent.mkdir(parents=True, exist_ok=True)
        write_json(_note_path(folder), entries)
