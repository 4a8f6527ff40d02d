"""What trials leave on disk: which of it is half written or damaged, how large it is, and how it is removed."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from tune.files import is_intact, read_manifest
from tune.model import full
from tune.model.adapter_config import CONFIG
from tune.model.adapter_folder import WEIGHTS

ADAPTER, CHECKPOINTS = "adapter", "checkpoints"
FREED = "freed.json"
"""In a trial's folder: what somebody let `clean` remove, so that nobody misses it."""

_CHECKPOINT = re.compile(r"\.(step|best)-\d+\.writing")
_OWNED = re.compile(r"\.adapter\.(?P<pid>\d+)\.(writing|old)|\..+\.(?P<temporary>\d+)")


def trial_folders(study_folder: Path) -> list[Path]:
    """Return the folders of all trials."""
    return sorted(folder for folder in study_folder.glob("trials/*") if folder.is_dir())


def half_written(folder: Path) -> list[Path]:
    """Return what a process that is gone began to write in a trial's folder; nobody may run the trial."""
    return list(_half_written(folder)) if folder.is_dir() else []


def damaged_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a trial, and the best weights beside them, that are not as they were written."""
    kept = [path for kind in ("best", "step") for path in sorted((folder / CHECKPOINTS).glob(f"{kind}-*"))]
    return [path for path in kept if not _is_whole(path)]


def trouble_with_adapter(folder: Path) -> str | None:
    """Return why an adapter's folder cannot be loaded, or None. The tensors are not read, only where they stand."""
    from safetensors import SafetensorError, safe_open

    described, weights = (full.CONFIG, full.WEIGHTS) if full.is_model(folder) else (CONFIG, WEIGHTS)
    try:
        json.loads((folder / described).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{described} is missing"
    except (OSError, ValueError) as error:
        return f"{described} cannot be read: {error}"
    try:
        with safe_open(folder / weights, framework="numpy"):  # needs no torch
            return None
    except FileNotFoundError:
        return f"{weights} is missing"
    except (OSError, SafetensorError) as error:
        return f"{weights} cannot be read: {error}"


def size(path: Path) -> int:
    """Return the bytes of a file or of all files in a folder; 0 where there is none."""
    if path.is_dir() and not path.is_symlink():
        return sum(file.lstat().st_size for file in path.rglob("*") if file.is_symlink() or not file.is_dir())
    return path.lstat().st_size if path.is_symlink() or path.exists() else 0


def remove(path: Path) -> None:
    """Remove a file or a folder; what is not there is fine.

    Raises:
        OSError: It cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _half_written(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if _is_half_written(path.name):
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _half_written(path)


def _is_half_written(name: str) -> bool:
    if _CHECKPOINT.fullmatch(name):
        return True
    owned = _OWNED.fullmatch(name)
    return owned is not None and not psutil.pid_exists(int(owned["pid"] or owned["temporary"]))


def _is_whole(checkpoint: Path) -> bool:
    manifest = read_manifest(checkpoint)
    return manifest is not None and is_intact(checkpoint, manifest["recipe"])
