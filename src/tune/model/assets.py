"""Models that need no hub: made once, kept in the cache, shared by every process.

A folder is built beside its place, gets its manifest last, and is renamed; a lock lets one
process build while the others wait. So a folder that exists under its name is whole, and
one that was damaged later is seen by its manifest and built again.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tune import files, paths
from tune.errors import AssetError, nearest
from tune.model.source import EMBEDDED

Announce = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How one embedded model is made."""

    name: str
    """Name of its folder in the cache; another recipe has another name."""

    build: Callable[[Path, Announce], None]
    """Fills an empty folder with config, safetensors and tokenizer."""


def embedded_folder(name: str, *, texts: Sequence[str], announce: Announce) -> Path:
    """Return the folder of an embedded model, built first where the cache has none.

    Args:
        name: smollm2_135m or tiny.
        texts: What the tokenizer of tiny is trained on; not used by smollm2_135m.
        announce: Is told, in a sentence, whatever takes long: fetching, converting, waiting.

    Raises:
        AssetError: The model cannot be fetched, is not the one that was expected, or cannot be written.
    """
    recipe = _recipe(name, texts)
    folder = paths.cache_dir() / "models" / recipe.name
    if files.is_intact(folder, recipe.name):
        return folder
    try:
        with _only_one(folder, announce):
            # Whoever held the lock before may have built it.
            if not files.is_intact(folder, recipe.name):
                _build(folder, recipe, announce)
    except OSError as error:
        msg = (
            f"cannot write the model {name} to the cache {paths.cache_dir()}: {error.strerror or error}. "
            "Make room or name another folder with the environment variable TUNE_CACHE."
        )
        raise AssetError(msg) from error
    return folder


def _recipe(name: str, texts: Sequence[str]) -> Recipe:
    if name == "smollm2_135m":
        from tune.model import smollm2

        return Recipe(name=smollm2.FOLDER, build=smollm2.build)
    if name == "tiny":
        from tune.model import tiny

        return Recipe(
            name=tiny.folder_name(texts), build=lambda folder, announce: tiny.build(folder, texts, announce=announce)
        )
    msg = f"model.embedded={name} is not known. {nearest(name, EMBEDDED)}"
    raise AssetError(msg)


def _build(folder: Path, recipe: Recipe, announce: Announce) -> None:
    beside = folder.with_name(f".{recipe.name}.building")
    shutil.rmtree(beside, ignore_errors=True)  # left by a process that was killed; nobody else holds the lock
    if folder.exists():
        announce(f"{folder} is incomplete or was changed: it is built again.")
    beside.mkdir()
    try:
        recipe.build(beside, announce)
        files.write_manifest(beside, recipe.name)
        if folder.exists():
            shutil.rmtree(folder)
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _only_one(folder: Path, announce: Announce) -> Iterator[None]:
    """Hold the folder's lock; say so when another process holds it. The system frees a dead process's lock."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        announce(f"Another process is preparing {folder.name}: waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
