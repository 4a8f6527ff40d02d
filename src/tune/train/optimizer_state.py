"""An optimizer's state as tensors and plain numbers, read and put back bit for bit, whichever optimizer it is.

Its own state_dict is not used for the values. torch rounds what it loads to the parameters' format, and Adafactor's
moments are float32 beside bfloat16 parameters; bitsandbytes loads paged moments as ones that stay on the GPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_PROJECTOR = "projector"
"""Under this name GaLore keeps an object; one matrix is all of it that its group does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerState:
    """All that an optimizer keeps between two steps."""

    tensors: dict[str, Any]
    """PLACE/NAME → tensor; the place is that of a parameter, counted over all groups."""

    numbers: dict[str, Any]
    """PLACE/NAME → what is no tensor: a number, true or false, or None."""

    strides: dict[str, list[int]]
    """Of tensors that do not lie row by row: their products add up in another order, which shows in the last bits."""

    groups: list[dict[str, Any]]
    """Settings of the groups, with the places of their parameters."""


def read_state(optimizer: Any) -> OptimizerState:
    """Return the state of an optimizer between two steps."""
    import torch

    tensors: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    strides: dict[str, list[int]] = {}
    seen: set[int] = set()
    for key, value in _entries(optimizer):
        if not isinstance(value, torch.Tensor):
            assert value is None or isinstance(value, int | float), f"{key} would need a pickle"
            numbers[key] = value
            continue
        # bitsandbytes has one table of levels for all parameters, and safetensors refuses to write memory twice.
        shared = value.data_ptr() in seen and value.numel() > 0
        tensors[key] = value.detach().clone() if shared else value.detach().contiguous()
        seen.add(value.data_ptr())
        if not value.is_contiguous():
            strides[key] = list(value.stride())
    groups = optimizer.state_dict()["param_groups"]
    return OptimizerState(tensors=tensors, numbers=numbers, strides=strides, groups=groups)


def write_state(optimizer: Any, saved: OptimizerState) -> None:
    """Put back a state; the optimizer has the parameters and groups that it was read from."""
    entries: dict[int, dict[str, Any]] = {}
    for key, value in {**saved.tensors, **saved.numbers}.items():
        place, name = key.split("/")
        entries.setdefault(int(place), {})[name] = value
    # The optimizer chooses the devices: AdamW keeps its step on the processor.
    optimizer.load_state_dict({"state": entries, "param_groups": saved.groups})
    for key, loaded in list(_entries(optimizer)):
        if key in saved.tensors:
            place, name = key.split("/")
            parameter = _parameters(optimizer)[int(place)]
            tensor = _as_before(optimizer, parameter, saved.tensors[key], loaded.device)
            tensor = _laid_out(tensor, saved.strides[key]) if key in saved.strides else tensor
            is_projector = name == _PROJECTOR
            optimizer.state[parameter][name] = _projector(optimizer, parameter, tensor) if is_projector else tensor


def _as_before(optimizer: Any, parameter: Any, saved: Any, device: Any) -> Any:
    """Return the saved values where the optimizer keeps them."""
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    if getattr(inner, "is_paged", False) and saved.shape == parameter.shape:
        buffer = inner.get_state_buffer(parameter, dtype=saved.dtype)  # paged where the parameter is large
        buffer.copy_(saved)
        return buffer
    return saved.to(device)


def _laid_out(tensor: Any, stride: list[int]) -> Any:
    import torch

    return torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def _projector(optimizer: Any, parameter: Any, matrix: Any) -> Any:
    """Return GaLore's projector as it was: its group's settings, and the singular directions that it last found."""
    from galore_torch.galore_projector import GaLoreProjector

    group = next(group for group in optimizer.param_groups if any(one is parameter for one in group["params"]))
    names = ("update_proj_gap", "scale", "proj_type")
    projector = GaLoreProjector(group["rank"], **{name: group[name] for name in names})
    projector.ortho_matrix = matrix
    return projector


def _entries(optimizer: Any) -> Iterator[tuple[str, Any]]:
    for place, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            yield f"{place}/{name}", getattr(value, "ortho_matrix", value) if name == _PROJECTOR else value


def _parameters(optimizer: Any) -> list[Any]:
    """Return the parameters by place, as state_dict counts them."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
