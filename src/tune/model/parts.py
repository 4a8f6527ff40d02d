"""What each linear layer of a block does: query, key, value, output; gate, up, down.

Names say most of it, in whatever spelling; where they say nothing ("dense", "c_proj", "fc1", "W_pack") the shapes
do: what reads the hidden state and what writes to it. There is no table of architectures.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tune.config.targets import Group, Part

_ATTENTION = re.compile(r"attn|attention|(?:^|[._])att(?:[._]|$)", re.IGNORECASE)
_MLP = re.compile(r"mlp|ffn|feed_?forward|expert|moe|^intermediate\.|^output\.|(?:^|[._])ff(?:[._]|$)", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_LETTERS = re.compile(r"w?([qkv]+|o)")  # q, wq, qkv, kv, Wqkv, wo
_ATTENTION_WORDS = {"query": "q", "key": "k", "value": "v", "out": "o", "output": "o"}
_MLP_WORDS = {"gate": Part.gate, "up": Part.up, "down": Part.down}
_NO_PART = frozenset({"proj", "projection", "lin", "linear", "layer"})
_ROUTING = frozenset({"router", "gate"})
SPOKEN = {Part.q: "query", Part.k: "key", Part.v: "value", Part.o: "output"}
"""What the parts of attention are called in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A linear layer of one of the decoder's blocks."""

    name: str
    """Full name in the model."""

    inside: str
    """Name in its block."""

    block: int
    """Place of its block, from 0."""

    n_in: int
    """Width of what it reads."""

    n_out: int
    """Width of what it writes."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a layer was taken for."""

    group: Group | None
    """Its half of the block; None for what is neither, as in a state-space block."""

    parts: tuple[Part, ...] = ()
    """More than one where projections are fused; none where neither name nor shape tells."""

    router: bool = False
    """Whether it decides which expert works; an adapter on it moves the load, not the knowledge."""

    by_order: bool = False
    """Whether only its place in the order told gate from up."""

    def __str__(self) -> str:
        """Return the words for it in a message."""
        if self.router:
            return "router"
        return "+".join(self.parts) or (f"some {self.group}" if self.group else "neither attention nor mlp")


def roles(block: Sequence[Layer], hidden: int) -> dict[str, Role]:
    """Return what each layer of one block does, by its name in the block.

    Args:
        block: All linear layers of the block, in the model's order.
        hidden: Width of the hidden state.
    """
    attention = [layer for layer in block if _half(layer.inside) is Group.attention]
    mlp = [layer for layer in block if _half(layer.inside) is Group.mlp]
    other = {layer.inside: Role(None) for layer in block}
    return other | _in_attention(attention, hidden) | _in_mlp(mlp, hidden)


def joined(parts: Iterable[Part]) -> str:
    """Return parts as people list them: query, key and value."""
    *first, last = [SPOKEN.get(part, part.value) for part in Part if part in set(parts)]
    return f"{', '.join(first)} and {last}" if first else last


def _half(inside: str) -> Group | None:
    """Return the half of the block that a layer belongs to: its folder says it, else its own name."""
    place, _, leaf = inside.rpartition(".")
    for text in (place, inside):
        if text and _ATTENTION.search(text):
            return Group.attention
        if text and _MLP.search(text):
            return Group.mlp
    words = [word for word in _words(leaf) if word not in _NO_PART]
    if words and all(_LETTERS.fullmatch(word) or word in _ATTENTION_WORDS for word in words) and _attention_parts(leaf):
        # A state-space block has an out_proj too, but nothing beside it that makes queries.
        return Group.attention if words not in (["out"], ["output"]) else None
    return Group.mlp if words and (words[0] == "fc" or all(word in _MLP_WORDS for word in words)) else None


def _in_attention(layers: Sequence[Layer], hidden: int) -> dict[str, Role]:
    parts = {layer.inside: _attention_parts(layer.inside.rpartition(".")[2]) for layer in layers}
    unnamed = [layer for layer in layers if not parts[layer.inside]]
    named = {part for found in parts.values() for part in found}
    writers = [layer for layer in unnamed if layer.n_out == hidden]
    if Part.o not in named and writers:
        parts[writers[-1].inside] = (Part.o,)
    readers = [layer for layer in unnamed if layer.n_in == hidden and layer.n_out > hidden]
    if named <= {Part.o} and readers:
        parts[max(readers, key=lambda layer: layer.n_out).inside] = (Part.q, Part.k, Part.v)
    return {inside: Role(Group.attention, found) for inside, found in parts.items()}


def _attention_parts(leaf: str) -> tuple[Part, ...]:
    letters = ""
    for word in _words(leaf):
        match = _LETTERS.fullmatch(word)
        letters += match[1] if match else _ATTENTION_WORDS.get(word, "")
    return tuple(part for part in (Part.q, Part.k, Part.v) if part in letters) or ((Part.o,) if letters else ())


def _in_mlp(layers: Sequence[Layer], hidden: int) -> dict[str, Role]:
    places = [layer.inside.rpartition(".")[0] for layer in layers]
    read = {layer.n_in for layer in layers}
    found: dict[str, Role] = {}
    scopes: dict[str, list[Layer]] = {}
    for layer, place in zip(layers, places, strict=True):
        if _ROUTING & set(_words(layer.inside)) and not {layer.n_out, layer.n_out / 2} & (read - {hidden}):
            found[layer.inside] = Role(Group.mlp, router=True)
        else:
            # Two folders with one layer each, as in BERT, are one MLP; every expert is one of its own.
            scopes.setdefault(place if places.count(place) > 1 else "", []).append(layer)
    for scope in scopes.values():
        found |= _one_mlp(scope, hidden)
    return found


def _one_mlp(layers: Sequence[Layer], hidden: int) -> dict[str, Role]:
    parts = {layer.inside: _mlp_parts(layer) for layer in layers}
    unnamed = [layer for layer in layers if not parts[layer.inside]]
    writers = [layer for layer in unnamed if layer.n_out == hidden != layer.n_in]
    if not writers and not _has(parts, Part.down):
        writers = [layer for layer in unnamed if layer.n_out == hidden][-1:]  # as wide inside as outside
    for layer in writers:
        parts[layer.inside] = (Part.down,)
    inner = {layer.n_in for layer in layers if Part.down in parts[layer.inside]}
    for layer in unnamed:
        if layer not in writers and layer.n_in == hidden and layer.n_out / 2 in inner:
            parts[layer.inside] = (Part.gate, Part.up)
    readers = [layer for layer in unnamed if not parts[layer.inside] and layer.n_in == hidden and layer.n_out in inner]
    free = [part for part in (Part.gate, Part.up) if not _has(parts, part)]
    by_order = len(readers) > 1
    for layer, part in zip(readers, free if by_order else free[-1:], strict=False):
        parts[layer.inside] = (part,)
    guessed = {layer.inside for layer in readers} if by_order else set()
    return {inside: Role(Group.mlp, found, by_order=inside in guessed) for inside, found in parts.items()}


def _mlp_parts(layer: Layer) -> tuple[Part, ...]:
    words = set(_words(layer.inside.rpartition(".")[2]))
    return tuple(part for word, part in _MLP_WORDS.items() if word in words)


def _has(parts: dict[str, tuple[Part, ...]], part: Part) -> bool:
    return any(part in found for found in parts.values())


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def hidden_size(model: Any) -> int:
    """Return the width of the hidden state."""
    return int(model.config.get_text_config(decoder=True).hidden_size)
