"""Which linear layers a preset means in this architecture.

Layers are found by looking at the decoder's blocks and told apart by their place and name;
the head and the embeddings stand outside the blocks and are never chosen.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tune.config.recipe import Targets
from tune.errors import ConfigError

QUERY = frozenset({"q_proj", "query", "q", "q_lin", "wq"})
VALUE = frozenset({"v_proj", "value", "v", "v_lin", "wv"})
FUSED_QKV = frozenset({"qkv_proj", "c_attn", "query_key_value", "qkv", "Wqkv", "W_pack", "attn_qkv"})
OTHER_ATTENTION = frozenset({"k_proj", "key", "k", "k_lin", "wk", "o_proj", "out_proj", "wo", "out_lin"})
MLP = frozenset(
    {"gate_proj", "up_proj", "down_proj", "gate_up_proj", "fc1", "fc2", "c_fc", "fc_in", "fc_out"}
    | {"dense_h_to_4h", "dense_4h_to_h", "w1", "w2", "w3", "wi", "lin1", "lin2"}
)
# A mixture's router decides which expert works; an adapter on it moves the load, not the knowledge.
ROUTERS = frozenset({"router", "gate", "shared_expert_gate"})

_BLOCK = re.compile(r"^(?:.*?\.)?(?:layers|h|blocks|block|layer)\.\d+\.(?P<inside>.+)$")
_ATTENTION_PLACE = re.compile(r"attn|attention", re.IGNORECASE)
_MLP_PLACE = re.compile(r"mlp|ffn|feed_forward|expert", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The layers that get an adapter."""

    names: tuple[str, ...]
    """Endings of module names that match these layers and no other, in the model's order."""

    n_layers: int
    """How many layers they match."""

    note: str | None
    """What the user should know about how the preset was read, or None."""


def choose_layers(model: Any, preset: Targets) -> Chosen:
    """Return the layers a preset means in this model.

    Raises:
        ConfigError: The preset matches nothing; the message names the linear layers there are.
    """
    layers = linear_layers(model)  # full name -> name inside its block
    chosen = {full: inside for full, inside in layers.items() if _belongs(inside, preset)}
    if preset is Targets.qv and not _has_both(chosen.values()):
        chosen = {}
    if not chosen:
        there = ", ".join(dict.fromkeys(layers.values())) or "none"
        msg = (
            f"lora.targets={preset.value} matches no layer of {type(model).__name__}. "
            f"Its blocks have these linear layers: {there}. Try lora.targets=all_linear."
        )
        raise ConfigError(msg)
    names = _shortest(chosen, [name for name, _ in model.named_modules()])
    return Chosen(names=names, n_layers=len(chosen), note=_note(model, preset, chosen))


def linear_layers(model: Any) -> dict[str, str]:
    """Return the linear layers of the decoder's blocks: full name to name inside the block."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    prefix = _decoder_prefix(model)
    found = {}
    for name, module in model.named_modules():
        match = _BLOCK.match(name) if name.startswith(prefix) else None
        # Linear4bit of bitsandbytes is an nn.Linear too.
        if match and isinstance(module, nn.Linear | Conv1D):
            found[name] = match["inside"]
    return found


def _decoder_prefix(model: Any) -> str:
    """Return the name of the text decoder, so that the towers for pictures or sound are left alone."""
    decoder = model.get_decoder()
    return next((f"{name}." for name, module in model.named_modules() if module is decoder and name), "")


def _belongs(inside: str, preset: Targets) -> bool:
    place, _, leaf = inside.rpartition(".")
    if leaf in ROUTERS:
        return False
    in_attention = bool(_ATTENTION_PLACE.search(place)) or leaf in QUERY | VALUE | FUSED_QKV | OTHER_ATTENTION
    match preset:
        case Targets.qv:
            return in_attention and leaf in QUERY | VALUE | FUSED_QKV
        case Targets.attention:
            return in_attention
        case Targets.mlp:
            return not in_attention and (bool(_MLP_PLACE.search(place)) or leaf in MLP)
        case Targets.all_linear:
            return True


def _has_both(insides: Iterable[str]) -> bool:
    leaves = {inside.rpartition(".")[2] for inside in insides}
    return bool(leaves & FUSED_QKV) or (bool(leaves & QUERY) and bool(leaves & VALUE))


def _shortest(chosen: dict[str, str], every: list[str]) -> tuple[str, ...]:
    """Return the names inside a block, or full names where those would match layers outside the decoder too."""
    insides = tuple(dict.fromkeys(chosen.values()))
    endings = tuple(f".{inside}" for inside in insides)
    matched = {name for name in every if name.endswith(endings)}
    return insides if matched == set(chosen) else tuple(chosen)


def _note(model: Any, preset: Targets, chosen: dict[str, str]) -> str | None:
    notes = []
    fused = sorted({inside for inside in chosen.values() if inside.rpartition(".")[2] in FUSED_QKV})
    if preset is Targets.qv and fused:
        notes.append(f"{', '.join(fused)} holds query, key and value in one layer, so key is adapted too")
    if preset in {Targets.mlp, Targets.all_linear} and _has_packed_experts(model):
        notes.append("the experts are stored as one tensor, not as linear layers, and get no adapter")
    return "; ".join(notes) or None


def _has_packed_experts(model: Any) -> bool:
    matrices_a_tensor = 3  # (expert, out, in)
    return any("expert" in name and value.ndim == matrices_a_tensor for name, value in model.named_parameters())
