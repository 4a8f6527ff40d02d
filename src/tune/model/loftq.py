"""LoftQ: A and B begin as the best low-rank correction of what quantization did to the weights.

    s B A = the first `rank` singular directions of W - dequantized(Q)

One step of the paper's alternation: the next would quantize the base anew for every rank, and here one base serves
many trials and is its own baseline. PEFT's function for a model that is quantized already runs on CUDA alone.

Source: Li et al. 2023, https://arxiv.org/abs/2310.08659, algorithm 1.
"""

from pathlib import Path
from typing import Any

from tune.errors import AssetError, ConfigError
from tune.model.quantize import plain_weight

_TRAINED = "default"


def begin(model: Any, folder: Path) -> None:
    """Give a fresh adapter on a four-bit base this start.

    Args:
        model: PEFT model.
        folder: Of the base, with its weights before they were quantized.

    Raises:
        AssetError: The weights of an adapted layer are not there under its name.
        ConfigError: A layer has fewer directions than its rank.
    """
    import torch
    from peft.tuners.lora import LoraLayer
    from transformers.pytorch_utils import Conv1D

    network, files = model.get_base_model(), _files_by_tensor(folder)
    with torch.no_grad():
        for name, layer in network.named_modules():
            if not isinstance(layer, LoraLayer):
                continue
            quantized, rank = layer.get_base_layer(), layer.r[_TRAINED]
            _check_rank(rank, name, quantized)
            stored = plain_weight(quantized).float()  # (out, in)
            whole = _read(files, f"{name}.weight", network.base_model_prefix).to(stored)
            if issubclass(quantized.source_cls, Conv1D):  # GPT-2's files have (in, out), which transformers turns
                whole = whole.T
            lost = whole - stored
            inner, outer = _halves(lost / layer.scaling[_TRAINED], rank)
            layer.lora_A[_TRAINED].weight.copy_(inner)
            layer.lora_B[_TRAINED].weight.copy_(outer)


def _check_rank(rank: int, name: str, layer: Any) -> None:
    narrow = min(layer.in_features, layer.out_features)
    if rank > narrow:
        msg = (
            f"a rank of {rank} is not allowed with lora.method=loftq: {name} has {narrow} directions to be corrected "
            f"in. Take {narrow} or less in lora.rank or lora.rank_pattern, or lora=lora."
        )
        raise ConfigError(msg)


def _halves(matrix: Any, rank: int) -> tuple[Any, Any]:
    """Return A (r, in) and B (out, r) whose product is nearest to a matrix (out, in); each has half of its size."""
    import torch

    left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
    root = sizes[:rank].sqrt()
    return root[:, None] * right[:rank], left[:, :rank] * root


def _files_by_tensor(folder: Path) -> dict[str, Path]:
    from safetensors import safe_open

    found: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stream:
            found |= dict.fromkeys(stream.keys(), file)
    return found


def _read(files: dict[str, Path], name: str, prefix: str) -> Any:
    """Return a tensor of the checkpoint; some are written without the name of the network's body in front."""
    from safetensors import safe_open

    there = next((each for each in (name, name.removeprefix(f"{prefix}.")) if each in files), None)
    if there is None:
        msg = (
            f"lora.method=loftq needs {name} before it was quantized, and no *.safetensors file of the model has it "
            "under that name. Take lora=lora."
        )
        raise AssetError(msg)
    with safe_open(files[there], framework="pt") as stream:
        return stream.get_tensor(there)
