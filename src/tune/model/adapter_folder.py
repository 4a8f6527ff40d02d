"""A saved adapter: safetensors and JSON that PEFT reads too; the folder is whole or not there at all."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tune.errors import AssetError, Diverged, NothingLearned
from tune.files import write_json
from tune.model.adapter_config import CONFIG, read_config

WEIGHTS = "adapter_model.safetensors"
ORIGIN = "base.json"
"""Digest of the base it was trained on. Not in the weights' header, where two keys stand in random order."""


_ZERO_AT_FIRST = (".lora_B.", ".vera_lambda_b")
"""Tensors without which an update changes nothing; they begin at zero."""


def write_adapter(folder: Path, weights: dict[str, Any], config: dict[str, Any], *, digest: str) -> None:
    """Write an adapter, in place of what is in the folder; the folder is never half written.

    Args:
        folder: Where it goes.
        weights: Its tensors, by PEFT's names.
        config: PEFT's settings.
        digest: Of the base it was trained on.

    Raises:
        Diverged: A weight is NaN or infinite.
        NothingLearned: Every B is zero.
    """
    from safetensors.torch import save_file

    _check(weights)

    def fill(beside: Path) -> None:
        save_file(weights, beside / WEIGHTS, metadata={"format": "pt"})
        write_json(beside / ORIGIN, {"digest": digest})
        write_json(beside / CONFIG, config)

    put_folder(folder, fill)


def read_adapter(folder: Path, *, digest: str) -> tuple[dict[str, Any], Any]:
    """Return the adapter's tensors and PEFT's settings.

    Raises:
        AssetError: A file is missing or broken, or the adapter belongs to a base with another digest.
    """
    from safetensors import SafetensorError, safe_open

    try:
        config = read_config(folder)
        origin = folder / ORIGIN  # an adapter from elsewhere has none
        trained_on = json.loads(origin.read_text(encoding="utf-8"))["digest"] if origin.is_file() else None
        with safe_open(folder / WEIGHTS, framework="pt") as stream:
            weights = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        msg = f"no whole adapter in {folder} ({error}). It needs {CONFIG} and {WEIGHTS}; train it again or copy both."
        raise AssetError(msg) from error
    if trained_on not in {None, digest}:
        msg = (
            f"the adapter in {folder} was trained on other weights (digest {str(trained_on)[:12]}, this base has "
            f"{digest[:12]}). Load the model it was trained on."
        )
        raise AssetError(msg)
    return weights, config


def _check(weights: dict[str, Any]) -> None:
    broken = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if broken:
        msg = f"{len(broken)} of {len(weights)} adapter tensors hold NaN or infinity (first: {broken[0]}): not saved."
        raise Diverged(msg)
    # None with virtual tokens.
    updates = [tensor for name, tensor in weights.items() if any(kind in name for kind in _ZERO_AT_FIRST)]
    if updates and not any(tensor.any() for tensor in updates):
        msg = (
            "every B of the adapter is zero, so it changes nothing: not saved. No optimizer step reached it; "
            "look at train.learning_rate and train.max_steps, and whether any reply token is left to learn from."
        )
        raise NothingLearned(msg)


def put_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write into an empty folder, and put that in the place of `folder` when it is whole."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.writing")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    fill(beside)
    if folder.exists():
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        folder.rename(old)
        beside.rename(folder)
        shutil.rmtree(old)
    else:
        beside.rename(folder)
