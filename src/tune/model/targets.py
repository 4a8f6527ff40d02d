"""Which linear layers `lora.targets` means in this model.

Layers are found by looking at the decoder's blocks and told apart by their place, name and shape;
the head and the embeddings stand outside the blocks and are never chosen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tune.config.targets import Assigned, Group, Part, Wanted, read_layers, read_targets
from tune.errors import ConfigError
from tune.model.decoder import BLOCK, count_blocks, decoder_layers
from tune.model.parts import Layer, Role, hidden_size, joined, roles


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The layers that get an adapter."""

    names: tuple[str, ...]
    """Endings of module names that match these layers and no other, in the model's order."""

    n_layers: int
    """How many layers they match."""

    note: str | None
    """What the user should know about how the setting was read, or None."""


def choose_layers(model: Any, targets: str, layers: str | None = None) -> Chosen:
    """Return the layers that `lora.targets` means in this model, in the blocks that `lora.layers` means.

    Blocks are told by full names, not by PEFT's layers_to_transform, which guesses what a model calls its blocks.

    Raises:
        ConfigError: A word of it matches nothing; the message names the linear layers there are. Or a block is not
            there, or has none of those layers.
    """
    wanted = read_targets(targets)
    taken = _taken(model)
    chosen = _expressed(model, targets, wanted, taken) if wanted.expression else _named(model, targets, wanted, taken)
    chosen = _in_blocks(model, targets, layers, chosen)
    names = _shortest({layer.name: layer.inside for layer in chosen}, [name for name, _ in model.named_modules()])
    return Chosen(names=names, n_layers=len(chosen), note=_note(model, wanted, chosen))


def assign(model: Any, adapted: Iterable[str], pattern: Sequence[Assigned], *, key: str) -> dict[str, int]:
    """Return the number that `lora.rank_pattern` or `lora.alpha_pattern` gives to each layer it is about, by full name.

    Args:
        model: The model.
        adapted: Full names of the layers that get an adapter.
        pattern: The setting, read; of two parts that fit a layer, the later one counts.
        key: Which of the two.

    Raises:
        ConfigError: A part of it fits none of the adapted layers.
    """
    names, n_blocks = set(adapted), count_blocks(model)
    taken = {layer: role for layer, role in _taken(model).items() if layer.name in names}
    found: dict[str, int] = {}
    for one in pattern:
        fits = {layer.name: one.number for layer, role in taken.items() if _fits(layer, role, one, n_blocks)}
        if not fits:
            msg = (
                f"{key}: {one.text} fits none of the adapted layers of {type(model).__name__}. They are "
                f"{_inventory(taken)}, in blocks {_ranges(layer.block for layer in taken)}. Name some of those."
            )
            raise ConfigError(msg)
        found |= fits
    return found


def _fits(layer: Layer, role: Role, one: Assigned, n_blocks: int) -> bool:
    if one.blocks:
        return layer.block in one.blocks.of(n_blocks)
    assert one.targets
    if one.targets.expression:
        return bool(one.targets.expression.fullmatch(layer.name))
    return any(_belongs(role, word) for word in one.targets.words)


def linear_layers(model: Any) -> dict[str, str]:
    """Return the linear layers of the decoder's blocks: full name to name inside the block."""
    return {layer.name: layer.inside for layer in decoder_layers(model)}


def _taken(model: Any) -> dict[Layer, Role]:
    """Return what each linear layer was taken for."""
    blocks: dict[str, list[Layer]] = {}
    for layer in decoder_layers(model):
        blocks.setdefault(layer.name.removesuffix(layer.inside), []).append(layer)
    hidden = hidden_size(model)
    found: dict[Layer, Role] = {}
    for block in blocks.values():
        by_inside = roles(block, hidden)
        found |= {layer: by_inside[layer.inside] for layer in block}
    return found


def _named(model: Any, targets: str, wanted: Wanted, taken: dict[Layer, Role]) -> dict[Layer, Role]:
    for word in wanted.words:
        if not any(_belongs(role, word) for role in taken.values()):
            asked = f"lora.targets={targets} matches" if len(wanted.words) == 1 else f"{word} of lora.targets={targets}"
            verb = "" if len(wanted.words) == 1 else " matches"
            msg = (
                f"{asked}{verb} no layer of {type(model).__name__}. Its blocks have these linear layers: "
                f"{_inventory(taken)}. Name what is there, take lora.targets=all_linear, or write an expression over "
                "their names: lora.targets='re:…'."
            )
            raise ConfigError(msg)
    return {layer: role for layer, role in taken.items() if any(_belongs(role, word) for word in wanted.words)}


def _expressed(model: Any, targets: str, wanted: Wanted, taken: dict[Layer, Role]) -> dict[Layer, Role]:
    assert wanted.expression
    chosen = {layer: role for layer, role in taken.items() if wanted.expression.fullmatch(layer.name)}
    if not chosen:
        example = next((layer.name for layer in taken), "none")
        msg = (
            f"lora.targets={targets} matches no linear layer in the blocks of {type(model).__name__}. It must match "
            f"whole names, such as {example}; the blocks have these: {_inventory(taken)}. Begin it with .* or mend it."
        )
        raise ConfigError(msg)
    return chosen


def _in_blocks(model: Any, targets: str, layers: str | None, chosen: dict[Layer, Role]) -> dict[Layer, Role]:
    asked = read_layers(layers)
    if asked is None:
        return chosen
    n_blocks = count_blocks(model)
    numbers = asked.of(n_blocks)
    absent = [number for number in numbers if not 0 <= number < n_blocks]
    if absent:
        msg = (
            f"lora.layers={layers} asks for blocks that are not there: {type(model).__name__} has {n_blocks}, "
            f"0 to {n_blocks - 1}. Name some of those, or take lora.layers=all."
        )
        raise ConfigError(msg)
    kept = {layer: role for layer, role in chosen.items() if layer.block in numbers}
    if not kept:
        msg = (
            f"lora.layers={layers} leaves nothing of lora.targets={targets}: those layers of {type(model).__name__} "
            f"stand in blocks {_ranges(layer.block for layer in chosen)}. Name some of those."
        )
        raise ConfigError(msg)
    return kept


def _belongs(role: Role, word: Part | Group) -> bool:
    if role.router:
        return False
    return word is Group.all_linear or word == role.group or word in role.parts


def _inventory(taken: dict[Layer, Role]) -> str:
    there = {layer.inside: str(role) for layer, role in taken.items()}
    return ", ".join(f"{inside} ({role})" for inside, role in there.items()) or "none"


def _shortest(chosen: dict[str, str], every: list[str]) -> tuple[str, ...]:
    """Return the names inside a block, or full names where those would match other layers too."""
    insides = tuple(dict.fromkeys(chosen.values()))
    endings = tuple(f".{inside}" for inside in insides)
    matched = {name for name in every if name.endswith(endings)}
    return insides if matched == set(chosen) else tuple(chosen)


def _note(model: Any, wanted: Wanted, chosen: dict[Layer, Role]) -> str | None:
    asked = {word for word in wanted.words if isinstance(word, Part)}
    fused: dict[tuple[Part, ...], set[str]] = {}
    for layer, role in chosen.items():
        if asked & set(role.parts) and set(role.parts) - asked and role.group not in wanted.words:
            fused.setdefault(role.parts, set()).add(layer.inside)
    notes = []
    for parts, insides in fused.items():
        more = [part for part in parts if part not in asked]
        verb = "is" if len(more) == 1 else "are"
        what = f"{', '.join(sorted(insides))} holds {joined(parts)} in one layer"
        notes.append(f"{what}, so {joined(more)} {verb} adapted too")
    guessed = {layer.inside: role for layer, role in chosen.items() if role.by_order and asked & set(role.parts)}
    if guessed:
        read = ", ".join(f"{inside} for {joined(role.parts)}" for inside, role in guessed.items())
        notes.append(f"by their order alone were taken: {read}")
    if {Group.mlp, Group.all_linear, Part.gate, Part.up, Part.down} & set(wanted.words) and _has_packed_experts(model):
        notes.append("the experts are stored as one tensor, not as linear layers, and get no adapter")
    return "; ".join(notes) or None


def _has_packed_experts(model: Any) -> bool:
    matrices_a_tensor = 3  # (expert, out, in)
    return any("expert" in name and value.ndim == matrices_a_tensor for name, value in model.named_parameters())


def summary(names: Iterable[str]) -> str:
    """Return the layers in few words, for the record: names inside a block, and which blocks where not all.

    Args:
        names: Those of `Chosen`.
    """
    everywhere, blocks = [], dict[str, list[int]]()
    for name in names:
        match = BLOCK.match(name)
        if match:
            blocks.setdefault(match["inside"], []).append(int(match["block"]))
        else:
            everywhere.append(name)
    by_blocks: dict[str, list[str]] = {}
    for inside, numbers in blocks.items():
        by_blocks.setdefault(_ranges(numbers), []).append(inside)
    parts = [", ".join(everywhere)] if everywhere else []
    parts += [f"{', '.join(insides)} in blocks {numbers}" for numbers, insides in by_blocks.items()]
    return "; ".join(parts)


def _ranges(numbers: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
