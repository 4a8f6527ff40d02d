"""PEFT's description of an adapter, read as data: what could make PEFT import or unpickle something is refused.

PEFT takes every key of adapter_config.json: `peft_type` picks another class, `megatron_core` names a module that is
imported, and some ways to initialise (corda, lora_ga) read caches with torch.load.
"""

import json
from pathlib import Path
from typing import Any

from tune.errors import AssetError

CONFIG = "adapter_config.json"

_TAKEN = frozenset(
    {
        "r",
        "lora_alpha",
        "lora_dropout",
        "target_modules",
        "fan_in_fan_out",
        "bias",
        "modules_to_save",
        "ensure_weight_tying",
        "use_rslora",
        "use_dora",
        "rank_pattern",
        "alpha_pattern",
        "layers_to_transform",
        "layers_pattern",
        "exclude_modules",
        "task_type",
    }
)
"""What an adapter is; plain numbers, words and lists."""

_TAKEN_BY_VERA = frozenset(
    {
        "r",
        "vera_dropout",
        "d_initial",
        "projection_prng_key",
        "save_projection",
        "target_modules",
        "fan_in_fan_out",
        "bias",
        "modules_to_save",
        "task_type",
    }
)

_IGNORED = frozenset(
    {"peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode"}
    | {"init_lora_weights", "runtime_config"}
)
"""Where it comes from, and how it was begun: the weights are given, so nothing of it is used."""

_VIRTUAL = frozenset(
    {"num_virtual_tokens", "token_dim", "num_transformer_submodules", "num_attention_heads", "num_layers", "task_type"}
)
"""What virtual tokens are; plain numbers and a word."""

_BEGUN = frozenset({"prompt_tuning_init", "encoder_hidden_size"})
"""How virtual tokens were begun: the same as `_IGNORED`."""


def read_config(folder: Path) -> Any:
    """Return PEFT's configuration of a saved LoRA adapter, or of saved virtual tokens, ready to be trained on.

    Raises:
        AssetError: It describes another kind of adapter, or asks for more than low-rank updates.
        ValueError: It is no JSON object, or names no layers.
    """
    from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, VeraConfig

    content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        msg = f"{CONFIG} is no JSON object"
        raise ValueError(msg)  # noqa: TRY004 - a broken file, not a wrong call
    for kind in (PromptTuningConfig, PrefixTuningConfig):
        if content.get("peft_type") == kind().peft_type.value:
            return _plain(folder, content, kind, taken=_VIRTUAL, ignored=_IGNORED | _BEGUN)
    kinds = {"LORA": (LoraConfig, _TAKEN), "VERA": (VeraConfig, _TAKEN_BY_VERA)}
    if content.get("peft_type") not in kinds:
        msg = f"the adapter in {folder} is no LoRA (peft_type is {content.get('peft_type')}). Give one that is."
        raise AssetError(msg)
    kind, taken = kinds[content["peft_type"]]
    layers = content.get("target_modules")
    if not isinstance(layers, list) or not layers or not all(isinstance(name, str) for name in layers):
        msg = f"target_modules in {CONFIG} is no list of names of layers"
        raise ValueError(msg)
    return _plain(folder, content, kind, taken=taken, ignored=_IGNORED)


def _plain(folder: Path, content: dict[str, Any], kind: Any, *, taken: frozenset[str], ignored: frozenset[str]) -> Any:
    usual = kind().to_dict()
    more = [key for key in content.keys() - taken - ignored if content[key] and content[key] != usual.get(key)]
    if more:
        msg = (
            f"the adapter in {folder} asks for {', '.join(sorted(more))} in its {CONFIG}, which is no plain one and "
            "could make PEFT run code or read pickles. Give an adapter without, or take out a key that means nothing."
        )
        raise AssetError(msg)
    return kind(**{key: content[key] for key in taken & content.keys()})
