"""AdaLoRA: every layer begins with more directions than it may keep, and the least important ones of all are dropped.

    W x + alpha / initial_rank B diag(E) A x

E is what a direction is worth. The budget falls from the initial rank to `lora.rank` a layer on average, between the
first tenth and the last three tenths of the steps. What is left at the end is an ordinary update whose rank
differs from layer to layer, and is saved as one.

Source: Zhang et al. 2023, https://arxiv.org/abs/2303.10512, sections 3.1 to 3.3.
"""

import math
from typing import Any

from tune.config.recipe import LoraConfig
from tune.errors import ConfigError, NothingLearned

_TRAINED = "default"
_BEGIN_TENTHS, _END_TENTHS = 1, 3
"""Tenths of the steps before the first direction is dropped, and after the last one is."""


def config(lora: LoraConfig, common: dict[str, Any]) -> Any:
    """Return PEFT's settings. The steps are given later, by `Course.begin`.

    Raises:
        ConfigError: A point of a search keeps no fewer directions than it begins with.
    """
    from peft import AdaLoraConfig

    if lora.first_rank <= lora.rank:
        msg = (
            f"lora.initial_rank={lora.initial_rank} is not allowed with lora.rank={lora.rank}: adalora begins with "
            "more directions than it keeps. Reject such points (sweep.reject), or leave lora.initial_rank out."
        )
        raise ConfigError(msg)

    return AdaLoraConfig(
        init_r=lora.first_rank,
        target_r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        total_step=1,
        **common,
    )


def is_on(model: Any) -> bool:
    """Return whether the adapter on this PEFT model is one that drops directions."""
    from peft import AdaLoraConfig

    return isinstance(model.peft_config[_TRAINED], AdaLoraConfig)


class Course:
    """What has to happen beside the optimizer while the adapter is trained.

    Args:
        model: PEFT model with an AdaLoRA adapter.
    """

    def __init__(self, model: Any) -> None:
        self._tuner = model.base_model
        self._config = model.peft_config[_TRAINED]

    def begin(self, n_steps: int) -> None:
        """Lay the steps out.

        Args:
            n_steps: Optimizer steps of the whole training.

        Raises:
            ConfigError: They are too few to drop anything in.
        """
        before, after = math.ceil(n_steps * _BEGIN_TENTHS / 10), n_steps * _END_TENTHS // 10
        if before >= n_steps - after:
            msg = (
                f"lora.method=adalora is not allowed with {n_steps} optimizer step: it learns first and drops "
                "directions then, which takes two or more. Raise train.max_steps or train.epochs, or take lora=lora."
            )
            raise ConfigError(msg)
        self._config.tinit, self._config.tfinal, self._config.total_step = before, after, n_steps

    def penalty(self) -> Any:
        """Return how far A and B are from orthogonal, weighted as in PEFT; a scalar with a gradient."""
        import torch

        distances = []
        for name, parameter in self._tuner.model.named_parameters():
            if f".lora_A.{_TRAINED}" in name or f".lora_B.{_TRAINED}" in name:
                square = parameter @ parameter.T if ".lora_A." in name else parameter.T @ parameter  # (r, r)
                distances.append(torch.linalg.matrix_norm(square - torch.eye(len(square), device=square.device)))
        return self._config.orth_reg_weight * torch.stack(distances).mean()

    def after_step(self, step: int) -> None:
        """Weigh the directions by the step's gradients, and drop those over the budget.

        Args:
            step: The first is 1. The optimizer has made it, and the gradients are still there.
        """
        self._tuner.update_and_allocate(step)

    def state(self) -> dict[str, Any]:
        """Return tensors from which `restore` goes on as if nothing had happened."""
        import torch

        ranks = self._tuner.rankallocator
        kept = self._config.rank_pattern or {}
        return {
            **{f"importance/{name}": tensor for name, tensor in ranks.exp_avg_ipt.items()},
            **{f"uncertainty/{name}": tensor for name, tensor in ranks.exp_avg_unc.items()},
            **{f"kept/{name}": torch.tensor(mask) for name, mask in kept.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        ranks, device = self._tuner.rankallocator, next(self._tuner.model.parameters()).device
        ranks.exp_avg_ipt = {name: tensor.to(device) for name, tensor in _part(state, "importance/").items()}
        ranks.exp_avg_unc = {name: tensor.to(device) for name, tensor in _part(state, "uncertainty/").items()}
        ranks.ipt = dict(ranks.exp_avg_ipt)  # its keys alone are read
        self._config.rank_pattern = {name: mask.tolist() for name, mask in _part(state, "kept/").items()} or None


def plain_update(model: Any) -> tuple[dict[str, Any], Any, str]:
    """Return the tensors and PEFT's settings of the same update as plain LoRA of several ranks, and a word on them.

    Raises:
        NothingLearned: No direction is worth anything.
    """
    from peft import LoraConfig as PeftLoraConfig

    weights, ranks = {}, {}
    for name, layer in _layers(model):
        worth = layer.lora_E[_TRAINED].detach()  # (r, 1)
        kept = worth[:, 0] != 0
        if not kept.any():
            continue
        ranks[name] = int(kept.sum())
        scale = layer.scaling[_TRAINED] / (layer.ranknum[_TRAINED] + 1e-5)  # PEFT's own epsilon
        inner, outer = layer.lora_A[_TRAINED].detach(), layer.lora_B[_TRAINED].detach() * worth.T * scale
        weights[f"base_model.model.{name}.lora_A.weight"] = inner[kept].cpu().contiguous()
        weights[f"base_model.model.{name}.lora_B.weight"] = outer[:, kept].cpu().contiguous()
    if not ranks:
        msg = (
            "every E of AdaLoRA is zero, so it changes nothing: not saved. No optimizer step reached it, or it was "
            "dropped at once; look at train.learning_rate and train.max_steps, and whether any reply token is left."
        )
        raise NothingLearned(msg)
    own = model.peft_config[_TRAINED]
    most = max(ranks.values())
    others = {name: rank for name, rank in ranks.items() if rank != most}
    settings = PeftLoraConfig(
        r=most,
        lora_alpha=most,  # the scale is in B
        lora_dropout=own.lora_dropout,
        target_modules=list(ranks),
        rank_pattern=others,
        alpha_pattern=dict(others),
        fan_in_fan_out=own.fan_in_fan_out,
        bias=own.bias,
        task_type="CAUSAL_LM",
    )
    n_layers, n_first = sum(1 for _ in _layers(model)), own.init_r
    note = (
        f"AdaLoRA kept {sum(ranks.values())} of {n_layers * n_first} directions: {min(ranks.values())} to {most} in "
        f"{len(ranks)} of {n_layers} layers. The rank of each is in the adapter's adapter_config.json."
    )
    return weights, settings, note


def _layers(model: Any) -> Any:
    from peft.tuners.adalora import AdaLoraLayer

    network = model.get_base_model()
    return ((name, module) for name, module in network.named_modules() if isinstance(module, AdaLoraLayer))


def _part(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
