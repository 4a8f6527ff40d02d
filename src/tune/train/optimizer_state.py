"""An optimizer's state as tensors and plain numbers, read and put back bit for bit, whichever optimizer it is.

Its own state_dict is not used for the values. torch rounds what it loads to the parameters' format, and Adafactor's
moments are float32 beside bfloat16 parameters; bitsandbytes loads paged moments as ones that stay on the GPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerState:
    """All that an optimizer keeps between two steps."""

    tensors: dict[str, Any]
    """PLACE/NAME → tensor; the place is that of a parameter, counted over all groups."""

    numbers: dict[str, Any]
    """PLACE/NAME → what is no tensor: a number, true or false, or None."""

    groups: list[dict[str, Any]]
    """Settings of the groups, with the places of their parameters."""


def read_state(optimizer: Any) -> OptimizerState:
    """Return the state of an optimizer between two steps."""
    import torch

    tensors: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
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
    return OptimizerState(tensors=tensors, numbers=numbers, groups=optimizer.state_dict()["param_groups"])


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
            optimizer.state[parameter][name] = _as_before(optimizer, parameter, saved.tensors[key], loaded)


def _as_before(optimizer: Any, parameter: Any, saved: Any, loaded: Any) -> Any:
    """Return the saved values where the optimizer keeps them."""
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    if getattr(inner, "is_paged", False) and saved.shape == parameter.shape:
        buffer = inner.get_state_buffer(parameter, dtype=saved.dtype)  # paged where the parameter is large
        buffer.copy_(saved)
        return buffer
    return saved.to(loaded.device)


def _entries(optimizer: Any) -> Iterator[tuple[str, Any]]:
    for place, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            yield f"{place}/{name}", value


def _parameters(optimizer: Any) -> list[Any]:
    """Return the parameters by place, as state_dict counts them."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
