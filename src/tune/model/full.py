"""Training of all the model's own weights, and how the base gets its own back.

One base serves many trials, so the tensors it was loaded with are laid aside, never written to: training works on
copies, and putting the tensors back gives the base bit for bit. It costs one more model in memory.
"""

import json
from pathlib import Path
from typing import Any

from tune.errors import AssetError, Diverged, NothingLearned
from tune.files import write_json
from tune.model.adapter_folder import ORIGIN, put_folder

WEIGHTS, CONFIG = "model.safetensors", "config.json"
"""Named and written as transformers' save_pretrained does, so that the folder is a model to load."""


class OwnWeights:
    """All weights of a model while they are trained.

    Args:
        model: A causal language model that is not quantized; every parameter of it asks for gradients from now on.
    """

    def __init__(self, model: Any) -> None:
        import torch

        # named_parameters() gives tied weights, such as embeddings and head, once.
        self._trained = dict(model.named_parameters())
        self._laid_aside = {name: parameter.data for name, parameter in self._trained.items()}
        for parameter in self._trained.values():
            # In float32 whatever the base has: in bfloat16 a step below 1/256 of a weight is lost.
            parameter.data = parameter.data.to(torch.float32, copy=True)
            parameter.requires_grad_(requires_grad=True)

    def settle(self) -> None:
        """Round what was learned to the base's number format; what is scored and saved is a model like the base.

        Raises:
            NothingLearned: No weight has changed.
        """
        for name, parameter in self._trained.items():
            parameter.data = parameter.data.to(self._laid_aside[name].dtype)
            parameter.grad = None
        if all(bool((p.data == self._laid_aside[name]).all()) for name, p in self._trained.items()):
            msg = (
                "every weight is what it was, so it changes nothing: not saved. No optimizer step reached it, or each "
                "was below the precision of model.dtype; look at train.learning_rate and train.max_steps, and whether "
                "any reply token is left to learn from."
            )
            raise NothingLearned(msg)

    def restore(self) -> None:
        """Give the model the tensors that it had before."""
        for name, parameter in self._trained.items():
            parameter.grad = None
            parameter.data = self._laid_aside[name]

    def tensors(self) -> dict[str, Any]:
        """Return what is trained, by parameter name."""
        return {name: parameter.data.to("cpu").contiguous() for name, parameter in self._trained.items()}

    def load(self, tensors: dict[str, Any]) -> None:
        """Take the values, and their number format, from saved tensors of the same names and shapes."""
        for name, parameter in self._trained.items():
            parameter.data = tensors[name].to(parameter.device)


def write_model(folder: Path, model: Any, tensors: dict[str, Any], *, digest: str) -> None:
    """Write the weights as transformers reads them, in place of what is in the folder; it is never half written.

    Args:
        folder: Where it goes.
        model: Its configuration is written too.
        tensors: What was trained.
        digest: Of the base.

    Raises:
        Diverged: A weight is NaN or infinite.
    """
    from safetensors.torch import save_file

    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        msg = f"{len(broken)} of {len(tensors)} weight tensors hold NaN or infinity (first: {broken[0]}): not saved."
        raise Diverged(msg)

    def fill(beside: Path) -> None:
        save_file(tensors, beside / WEIGHTS, metadata={"format": "pt"})
        write_json(beside / ORIGIN, {"digest": digest})
        model.config.save_pretrained(beside)

    put_folder(folder, fill)


def is_model(folder: Path) -> bool:
    """Return whether a trial's folder holds a whole model and no adapter."""
    return (folder / CONFIG).is_file()


def read_model(folder: Path, *, digest: str, expected: dict[str, Any]) -> dict[str, Any]:
    """Return the weights in a folder.

    Args:
        folder: What `write_model` wrote.
        digest: Of the base.
        expected: Tensors whose names and shapes they must have.

    Raises:
        AssetError: A file is missing or broken, or the weights do not belong to this base.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        trained_from = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["digest"]
        tensors: dict[str, Any] = load_file(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        msg = f"no whole model in {folder} ({error}). It needs {ORIGIN} and {WEIGHTS}; train it again or copy both."
        raise AssetError(msg) from error
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if trained_from != digest or shapes != {name: tensor.shape for name, tensor in expected.items()}:
        msg = (
            f"the weights in {folder} were trained from others (digest {str(trained_from)[:12]}, this base has "
            f"{digest[:12]}). Load the model they were trained from."
        )
        raise AssetError(msg)
    return tensors
