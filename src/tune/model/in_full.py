"""Which weights of the base are trained in full beside an adapter, by `lora.bias` and `lora.modules_to_save`.

PEFT is never told of them, whether they come from the settings or with a saved adapter: tune.model.beside trains them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tune.config.method import Bias
from tune.config.recipe import LoraConfig
from tune.config.targets import read_modules
from tune.errors import AssetError, ConfigError, nearest
from tune.model.quantize import quantized_layers

PREFIX, WRAPPED = "base_model.model.", ".base_layer"
"""What PEFT puts before a name, and into that of an adapted layer's bias."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What is trained beside the adapter."""

    parameters: Mapping[str, Any]
    """By the base's own names; a weight that two modules share stands under the names of both."""

    bias: Bias
    modules: tuple[str, ...]
    """Whole names, those included that share a weight with one that was asked for."""

    @property
    def shares(self) -> bool:
        """Return whether a weight stands under more than one name."""
        return len({id(each) for each in self.parameters.values()}) < len(self.parameters)


NOTHING = Choice(parameters={}, bias=Bias.none, modules=())


def choose(network: Any, lora: LoraConfig, adapted: Iterable[str]) -> Choice:
    """Return what `lora.bias` and `lora.modules_to_save` mean in this model, which PEFT has not wrapped yet.

    Args:
        network: The base.
        lora: The settings.
        adapted: Whole names of the layers that get an adapter.

    Raises:
        ConfigError: There is no bias, no such module, or it is adapted or quantized.
    """
    named = dict(network.named_parameters(remove_duplicate=False))
    layers = tuple(adapted)
    modules = _modules(network, lora.modules_to_save, layers)
    wanted = [named[name] for name in named if _is_below(name, modules)]
    of_layers = {f"{name}.bias" for name in layers}
    found = [name for name in named if name.endswith(".bias") and (lora.bias is Bias.all or name in of_layers)]
    if lora.bias is not Bias.none:
        if not found:
            raise _no_bias(network, lora.bias)
        wanted += [named[name] for name in found]
    ids = {id(parameter) for parameter in wanted}
    parameters = {name: parameter for name, parameter in named.items() if id(parameter) in ids}
    return Choice(parameters=parameters, bias=lora.bias, modules=_with_sharers(named, modules))


def from_saved(network: Any, weights: Mapping[str, Any], config: Any) -> Choice:
    """Return what a saved adapter holds beside itself; PEFT is not told of it, tune.model.beside puts it on the base.

    Args:
        network: The base, not wrapped.
        weights: The adapter's tensors, by PEFT's names.
        config: PEFT's settings; what they say of biases and modules is taken out.

    Raises:
        AssetError: A weight that two modules share here has two values there, or only one of them is given.
    """
    import torch

    bias, modules = getattr(config, "bias", "none"), tuple(getattr(config, "modules_to_save", None) or ())
    if bias == "none" and not modules:
        return NOTHING
    config.bias, config.modules_to_save = "none", None
    config.ensure_weight_tying = False
    named = dict(network.named_parameters(remove_duplicate=False))
    held = {name: tensor for key, tensor in weights.items() if (name := plain_name(key)) in named}
    for name, parameter in named.items():
        sharers = [other for other in held if named[other] is parameter]
        if sharers and (name not in held or not torch.equal(held[name], held[sharers[0]])):
            msg = (
                f"the adapter sets {sharers[0]} apart from {name}, and in this model both are one weight. Give the "
                "model with two weights of their own that it was trained on, or an adapter that keeps them tied."
            )
            raise AssetError(msg)
    word = Bias.all if bias == "all" else Bias.none if bias == "none" else Bias.lora_only
    return Choice(parameters={name: named[name] for name in held}, bias=word, modules=modules)


def plain_name(key: str) -> str:
    """Return the base's own name for a parameter that PEFT calls so."""
    return key.removeprefix(PREFIX).replace(f"{WRAPPED}.", ".")


def _is_below(name: str, modules: Iterable[str]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)


def _modules(network: Any, text: str | None, adapted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the whole names of the modules that are trained in full."""
    found: dict[str, Any] = {}
    weighted = {
        name: module for name, module in network.named_modules() if name and any(True for _ in module.parameters())
    }
    for word in read_modules(text):
        fitting = {name: module for name, module in weighted.items() if f".{name}".endswith(f".{word}")}
        if not fitting:
            known = sorted({name.rpartition(".")[2] for name in weighted})
            msg = (
                f"lora.modules_to_save={text} is not allowed: {type(network).__name__} has no module with weights "
                f"whose name ends in {word}. {nearest(word, known)}"
            )
            raise ConfigError(msg)
        found |= fitting
    _check_can_be_trained(network, text, tuple(found), adapted)
    return tuple(found)


def _check_can_be_trained(network: Any, text: str | None, modules: tuple[str, ...], adapted: tuple[str, ...]) -> None:
    both = [name for name in adapted if _is_below(f"{name}.", modules)]
    if both:
        msg = (
            f"lora.modules_to_save={text} is not allowed with these lora.targets: {both[0]} would be trained in full "
            "and get an adapter too. Leave it out of one of the two, by lora.targets or lora.layers."
        )
        raise ConfigError(msg)
    packed = {id(layer) for layer in quantized_layers(network)}
    stored = [name for name, layer in network.named_modules() if id(layer) in packed and _is_below(f"{name}.", modules)]
    if stored:
        msg = (
            f"lora.modules_to_save={text} is not allowed with a quantized base: {stored[0]} is stored in four or eight "
            "bits, which take no gradient. Take quantization=none, or a module that is not quantized: embeddings, "
            "norms or the head."
        )
        raise ConfigError(msg)


def _no_bias(network: Any, bias: Bias) -> ConfigError:
    where = "it has none" if bias is Bias.all else "none of the adapted layers has one"
    return ConfigError(
        f"lora.bias={bias} is not allowed with {type(network).__name__}: {where}, so nothing more would be trained. "
        "Leave lora.bias out, or take a model whose layers have biases, such as GPT-2 or Qwen2."
    )


def _with_sharers(named: Mapping[str, Any], modules: tuple[str, ...]) -> tuple[str, ...]:
    """Return the modules, and those that share a weight with one of them."""
    ids = {id(parameter) for name, parameter in named.items() if _is_below(name, modules)}
    holders = (name.rpartition(".")[0] for name, each in named.items() if id(each) in ids)
    return tuple(dict.fromkeys((*modules, *(name for name in holders if not _is_below(f"{name}.", modules)))))
