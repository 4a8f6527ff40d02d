"""The tensors and settings of an adapter on a base, as they are saved."""

from collections.abc import Iterable
from typing import Any

from tune.config.method import Bias
from tune.model.beside import Beside
from tune.model.in_full import PREFIX, WRAPPED, Choice
from tune.model.methods import TRAINED


def read(model: Any, adapter: str = TRAINED) -> dict[str, Any]:
    """Return the adapter's tensors, by PEFT's names; they share their memory with the model where that is a CPU's.

    Args:
        model: PEFT model.
        adapter: Which of those on it.
    """
    from peft import get_peft_model_state_dict

    # "auto" would ask the hub whether the vocabulary has grown; what is trained of the base is tune.model.beside's.
    state = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    return {name: tensor.detach().to("cpu").contiguous() for name, tensor in state.items()}


def copies(model: Any) -> dict[str, Any]:
    """Return the adapter's tensors as they are now, whatever is trained later."""
    return {name: tensor.clone() for name, tensor in read(model).items()}


def write(model: Any, tensors: dict[str, Any]) -> None:
    """Give the adapter these values."""
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(model, tensors)


def of_base(model: Any, trained: Beside | None) -> dict[str, Any]:
    """Return the tensors of the base that were trained beside the adapter, by PEFT's names."""
    if trained is None:
        return {}
    tensors = trained.tensors()
    names = _peft_names(model, tensors)
    return {names[name]: tensor for name, tensor in tensors.items()}


def write_of_base(model: Any, trained: Beside, tensors: dict[str, Any]) -> None:
    """Give what is trained beside the adapter these values."""
    names = _peft_names(model, trained.choice.parameters)
    trained.load({name: tensors[names[name]] for name in names})


def plain_settings(model: Any, trained: Beside | None) -> dict[str, Any]:
    """Return PEFT's settings with its sets in order, so that the same adapter gives the same bytes."""
    config = model.peft_config[TRAINED].to_dict() | {"inference_mode": True}
    if trained:
        config |= _of_choice(trained.choice, config)
    return {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}


def difference(expected: dict[str, Any], found: dict[str, Any]) -> str | None:
    """Return how the names and shapes of tensors differ, in words; None if they do not."""
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or unexpected:
        first = (missing or unexpected)[0]
        return f"{len(missing)} tensors are missing and {len(unexpected)} are not expected (first: {first})"
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            return f"{name} has shape {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
    return None


def _peft_names(model: Any, names: Iterable[str]) -> dict[str, str]:
    """Return what PEFT calls parameters of the base while its layers are wrapped."""
    modules = model.get_base_model().named_modules()
    wrapped = {name.removesuffix(WRAPPED) for name, _ in modules if name.endswith(WRAPPED)}
    found = {}
    for name in names:
        place, _, own = name.rpartition(".")
        found[name] = f"{PREFIX}{place}{WRAPPED if place in wrapped else ''}.{own}"
    return found


def _of_choice(choice: Choice, config: dict[str, Any]) -> dict[str, Any]:
    """Return PEFT's settings for what is trained beside the adapter."""
    own = f"{config['peft_type'].lower()}_only" if choice.bias is Bias.lora_only else choice.bias.value
    found = {"bias": own, "modules_to_save": list(choice.modules) or None}
    # VeRA's settings have no such key; there PEFT reads both copies of a shared weight.
    return found | ({"ensure_weight_tying": choice.shares} if "ensure_weight_tying" in config else {})
