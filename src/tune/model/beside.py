"""Weights of the base that are trained in full beside an adapter, and how the base gets its own back.

One base serves many trials, so the tensors that it was loaded with are laid aside and never written to, as in
tune.model.full. What is trained is a copy in float32, which each pass rounds to the base's number format: what is
scored is what is saved. PEFT trains biases in place and modules in the base's format; it reads what is saved here.
"""

from collections.abc import Mapping
from typing import Any

from tune.config.method import Bias
from tune.model.in_full import Choice


class Beside:
    """What is trained beside the adapter, from when it asks for gradients until `restore`.

    Args:
        network: The base; PEFT may have wrapped its layers.
        choice: What is trained.
    """

    def __init__(self, network: Any, choice: Choice) -> None:
        self.choice = choice
        self._laid_aside = {id(each): (each, each.data) for each in choice.parameters.values()}
        # Which modules hold them, in the order of their own parameters, which optimizers go by.
        self._holders = [
            (module, dict(own))
            for module in network.modules()
            if (own := module._parameters) and any(id(each) in self._laid_aside for each in own.values())  # noqa: SLF001
        ]
        try:
            self._begin()
        except BaseException:  # there is no room for the copies
            self.restore()
            raise

    @property
    def n_trained(self) -> int:
        """Return how many numbers are trained."""
        return sum(parameter.numel() for parameter, _ in self._laid_aside.values())

    def restore(self) -> None:
        """Give the base the tensors that it had before."""
        from torch.nn.utils import parametrize

        for parameter, data in self._laid_aside.values():
            parameter.grad = None
            parameter.data = data
            parameter.requires_grad_(requires_grad=False)
        for module, own in self._holders:
            for name in list(getattr(module, "parametrizations", ())):
                parametrize.remove_parametrizations(module, name, leave_parametrized=False)
            module._parameters.clear()  # noqa: SLF001 - torch has put them last
            module._parameters.update(own)  # noqa: SLF001

    def tensors(self) -> dict[str, Any]:
        """Return what is trained in the base's number format, by the base's names."""
        kept = {name: self._laid_aside[id(each)] for name, each in self.choice.parameters.items()}
        return {name: each.detach().to("cpu", data.dtype, copy=True) for name, (each, data) in kept.items()}

    def load(self, tensors: Mapping[str, Any]) -> None:
        """Take the values that `tensors` returned."""
        import torch

        with torch.no_grad():
            for name, parameter in self.choice.parameters.items():
                parameter.copy_(tensors[name])

    def leave(self, network: Any) -> None:
        """Let the network keep what was learned as plain weights in the base's format; nothing can be restored."""
        from torch.nn.utils import parametrize

        for module, own in self._holders:
            for name in own:
                if parametrize.is_parametrized(module, name):
                    parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        if self.choice.shares:
            network.tie_weights()

    def note(self) -> str:
        """Return the words for the user: what is trained in full, and how much that is."""
        n_biases = sum(name.endswith(".bias") for name in self.choice.parameters)
        biases = f"{n_biases} biases" if self.choice.bias is not Bias.none else ""
        tied = " (one tied weight)" if self.choice.shares else ""
        what = " and ".join(filter(None, (biases, ", ".join(_short(self.choice.modules)) + tied)))
        return f"Trained in full beside the adapter: {what}; {self.n_trained:,} parameters."

    def _begin(self) -> None:
        import torch
        from torch.nn.utils import parametrize

        for module, own in self._holders:
            for name, parameter in own.items():
                if id(parameter) in self._laid_aside:
                    rounded = _rounded(self._laid_aside[id(parameter)][1].dtype)
                    parametrize.register_parametrization(module, name, rounded, unsafe=True)
        for parameter, data in self._laid_aside.values():
            # In float32 whatever the base has: in bfloat16 a step below 1/256 of a weight is lost.
            parameter.data = data.to(torch.float32, copy=True)
            parameter.requires_grad_(requires_grad=True)


def _short(modules: tuple[str, ...]) -> list[str]:
    """Return the last parts of the modules' names, each once."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name in modules))


def _rounded(dtype: Any) -> Any:
    from torch import nn

    class Rounded(nn.Module):
        """Gives the float32 that is trained in the base's number format."""

        def forward(self, weight: Any) -> Any:
            """Return the rounded weight."""
            return weight.to(dtype)

    return Rounded()
