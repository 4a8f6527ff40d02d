"""Combinations of an adapter's settings that cannot work. Ranges stand in tune.config.rules."""

from collections.abc import Iterator

from tune.config.method import BEGUN_FROM_WEIGHTS, ONE_RANK, WITHOUT_LAYERS, Bias, Method
from tune.config.model import ModelConfig
from tune.config.recipe import LoraConfig, QuantizationConfig, QuantizationKind, TrainConfig

_READ_BY = {
    "plus_ratio": (Method.lora_plus,),
    "initial_rank": (Method.adalora,),
    "spectrum_share": (Method.spectrum,),
    "virtual_tokens": (Method.prompt, Method.prefix),
}
_METHODS = frozenset({"lora", "lora.method"})
_MODELS = frozenset({"model", "model.path", "model.embedded"})
_FIRST_RANKS = frozenset({"lora.rank", "lora.initial_rank"})
"""Where one of them is searched, a point's own values are checked."""

_OF_LAYERS = ("rank", "alpha", "dropout", "targets", "layers", "rank_pattern", "alpha_pattern")


def impossible_method(lora: LoraConfig, quantization: QuantizationConfig, *, searched: frozenset[str]) -> Iterator[str]:
    """Yield a sentence for every combination that cannot work.

    Args:
        lora: The adapter's settings.
        quantization: How the base is stored.
        searched: Keys that the sweep sets to other values.
    """
    # A search over the method or the quantization is checked value by value, the rest as it stands.
    if lora.method in BEGUN_FROM_WEIGHTS and quantization.kind is not QuantizationKind.none:
        yield (
            f"lora.method={lora.method} is not allowed with quantization.kind={quantization.kind}: it takes a part out "
            "of the base's weights, and a quantized base would have to be quantized anew without it, another base for "
            "every rank. Take quantization=none, or one of the methods "
            f"{', '.join(method for method in Method if method not in BEGUN_FROM_WEIGHTS)}."
        )
    if lora.method is Method.dora and quantization.kind is QuantizationKind.int8:
        yield (
            "lora.method=dora is not allowed with quantization.kind=int8: PEFT cannot read the weights "
            "back that it measures the rows' lengths of. Take quantization=none, nf4 or fp4, or another method."
        )
    if lora.method is Method.full and quantization.kind is not QuantizationKind.none:
        yield (
            f"lora.method=full is not allowed with quantization.kind={quantization.kind}: it trains the weights "
            "themselves, and what is stored in four or eight bits takes no gradient. Take quantization=none, or a "
            "method with an adapter, such as lora=lora."
        )
    if lora.method is Method.loftq and not quantization.kind.is_four_bit:
        yield (
            f"lora.method=loftq is not allowed with quantization.kind={quantization.kind}: it begins as a correction "
            "of what four bits did to the weights. Take quantization=nf4, nf4_double or fp4, or lora=lora."
        )
    if lora.method is Method.adalora and lora.first_rank <= lora.rank and not searched & _FIRST_RANKS:
        yield (
            f"lora.initial_rank={lora.initial_rank} is not allowed with lora.rank={lora.rank}: adalora begins "
            f"with more directions than it keeps. Take {lora.rank + 1} or more, or leave it out for 1.5 times the rank."
        )
    if searched & _METHODS:
        return  # other methods of the search read what this one does not
    yield from _without_patterns(lora, searched)
    yield from _without_layers(lora, searched)
    yield from _nothing_beside(lora, searched)
    yield from _of_another_method(lora, searched)


def _of_another_method(lora: LoraConfig, searched: frozenset[str]) -> Iterator[str]:
    """Yield the settings that other methods read alone."""
    for name, readers in _READ_BY.items():
        if lora.method not in readers and (given := _given(lora, name, searched)):
            instead = " or ".join(f"lora={reader}" for reader in readers)
            yield f"{given} has no effect with lora.method={lora.method}: add {instead}, or leave it out."
    if lora.method is Method.vera and (given := _given(lora, "alpha", searched)):
        yield f"{given} has no effect with lora.method=vera, which learns its scale: leave it out, or take lora=lora."


def _without_patterns(lora: LoraConfig, searched: frozenset[str]) -> Iterator[str]:
    for name in ("rank_pattern", "alpha_pattern"):
        if lora.method in ONE_RANK and (given := _given(lora, name, searched)):
            yield (
                f"{given} is not allowed with lora.method={lora.method}, which gives its layers their ranks and scales "
                "itself. Leave it out, or take lora=lora."
            )


def _without_layers(lora: LoraConfig, searched: frozenset[str]) -> Iterator[str]:
    """Yield the settings of adapted layers that a method without them would silently leave out."""
    for name in _OF_LAYERS:
        if lora.method in WITHOUT_LAYERS and (given := _given(lora, name, searched)):
            yield (
                f"{given} has no effect with lora.method={lora.method}, which puts no adapter around a layer: leave it "
                "out, or take a method that does, such as lora=lora."
            )


def _nothing_beside(lora: LoraConfig, searched: frozenset[str]) -> Iterator[str]:
    """Yield why a method trains none of the base's weights beside its own."""
    why = "which trains every weight" if lora.method is Method.full else "which trains and saves virtual tokens alone"
    for name in ("bias", "modules_to_save"):
        if lora.method in WITHOUT_LAYERS and (given := _given(lora, name, searched)):
            yield (
                f"{given} is not allowed with lora.method={lora.method}, {why}: leave it out, or take a method with an "
                "adapter around layers, such as lora=lora."
            )


def impossible_bias(lora: LoraConfig, model: ModelConfig, *, searched: frozenset[str]) -> Iterator[str]:
    """Yield why there is no bias to train, where that is known before the model is read."""
    if lora.bias is not Bias.none and not model.path and not searched & _MODELS:
        yield (
            f"lora.bias={lora.bias} is not allowed with model.embedded={model.embedded}: it is a Llama, whose layers "
            "have no bias, so nothing more would be trained. Leave lora.bias out, or take a model whose layers have "
            "biases, such as GPT-2 or Qwen2."
        )


def impossible_checkpointing(lora: LoraConfig, train: TrainConfig) -> Iterator[str]:
    """Yield why a method cannot train with activations that are computed again."""
    if lora.method is Method.prefix and train.gradient_checkpointing:
        yield (
            "train.gradient_checkpointing=true is not allowed with lora.method=prefix: a prefix lies in the cache of "
            "keys and values, to which a block that is computed again would add its own once more. Take "
            "train.gradient_checkpointing=false, or lora=prompt."
        )


def _given(lora: LoraConfig, name: str, searched: frozenset[str]) -> str | None:
    """Return the words for a setting that somebody chose; None where it is what it is anyway."""
    value, key = getattr(lora, name), f"lora.{name}"
    if key in searched:
        return f"a search over {key}"
    shown = f"{value:g}" if isinstance(value, float) else value
    return f"{key}={shown}" if value != getattr(LoraConfig(), name) else None
