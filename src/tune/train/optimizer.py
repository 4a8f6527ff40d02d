"""What transformers calls each optimizer, and what some of them leave behind."""

from typing import Any

from tune.config.optimizer import Optimizer
from tune.config.optimizer_rules import WITHOUT_GPU
from tune.config.recipe import TrainConfig
from tune.errors import ConfigError

_NAMES = {Optimizer.adamw: "adamw_torch", Optimizer.galore: "galore_adamw"}
"""Where transformers' name is another."""


def trainer_arguments(train: TrainConfig) -> dict[str, Any]:
    """Return the arguments of transformers' trainer that choose the optimizer; rate and decay are others."""
    chosen = {"optim": _NAMES.get(train.optimizer, train.optimizer.value)}
    if train.optimizer is Optimizer.sgd:
        return chosen | {"optim_args": f"momentum={train.momentum}"}
    if train.optimizer is Optimizer.galore:
        return chosen | {"optim_args": f"rank={train.galore_rank}", "optim_target_modules": "all-linear"}
    return chosen


def check_device(optimizer: Optimizer, device: str) -> None:
    """Refuse an optimizer that would not be what it is called: without a GPU, bitsandbytes pages nothing.

    Args:
        optimizer: What is asked for.
        device: Type of the model's device, as torch has it.

    Raises:
        ConfigError: It needs a GPU.
    """
    if optimizer.is_paged and device != "cuda":
        msg = f"train.optimizer={optimizer} needs a GPU, and the model is on the {device}. {WITHOUT_GPU}."
        raise ConfigError(msg)


def check_projected(optimizer: Any, model: Any) -> None:
    """Refuse GaLore where it would be AdamW under another name: transformers looks for linear layers of torch alone.

    Args:
        optimizer: Its groups that have a rank are projected.
        model: Whose head is no layer of a block.

    Raises:
        ConfigError: No matrix of the blocks is projected, as with GPT-2's Conv1D.
    """
    projected = [group["params"] for group in optimizer.param_groups if "rank" in group]
    head = model.get_output_embeddings()
    if projected and not any(weight is not head.weight for weights in projected for weight in weights):
        msg = (
            "train.optimizer=galore is not allowed with this model: its blocks have no linear layer that transformers "
            "would project, such as GPT-2's Conv1D. Take train.optimizer=adamw, or adafactor, which has no second "
            "moment of full size."
        )
        raise ConfigError(msg)


def forget(optimizer: Any) -> None:
    """Let bitsandbytes let go of what a training had: its managers are one a process and keep all that they are told.

    Beside the memory, settings are kept by the address of a parameter, and the next trial's may have the same.
    """
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    if hasattr(inner, "mng"):
        inner.mng.initialize()
        inner.page_mng.paged_tensors.clear()
