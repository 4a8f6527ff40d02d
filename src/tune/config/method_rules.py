"""Combinations of an adapter's settings that cannot work. Ranges stand in tune.config.rules."""

from collections.abc import Iterator

from tune.config.method import BEGUN_FROM_WEIGHTS, ONE_RANK, Method
from tune.config.recipe import LoraConfig, QuantizationConfig, QuantizationKind


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
    if lora.method is Method.loftq and not quantization.kind.is_four_bit:
        yield (
            f"lora.method=loftq is not allowed with quantization.kind={quantization.kind}: it begins as a correction "
            "of what four bits did to the weights. Take quantization=nf4, nf4_double or fp4, or lora=lora."
        )
    if lora.method in ONE_RANK and "lora.method" not in searched:
        for key in ("rank_pattern", "alpha_pattern"):
            if getattr(lora, key) is not None or f"lora.{key}" in searched:
                yield (
                    f"lora.{key}={getattr(lora, key)} is not allowed with lora.method={lora.method}, which gives its "
                    "layers their ranks and scales itself. Leave it out, or take lora=lora."
                )
    yield from _impossible_ranks(lora, searched)
    fast = lora.plus_ratio != LoraConfig().plus_ratio or "lora.plus_ratio" in searched
    if fast and lora.method is not Method.lora_plus and "lora.method" not in searched:
        given = (
            "a search over lora.plus_ratio" if "lora.plus_ratio" in searched else f"lora.plus_ratio={lora.plus_ratio:g}"
        )
        yield f"{given} has no effect with lora.method={lora.method}: add lora=lora_plus, or leave it out."


def _impossible_ranks(lora: LoraConfig, searched: frozenset[str]) -> Iterator[str]:
    """Yield what AdaLoRA's first rank cannot be, and what VeRA would silently leave out."""
    usual = LoraConfig()
    if lora.method is Method.adalora and lora.first_rank <= lora.rank:
        yield (
            f"lora.initial_rank={lora.initial_rank} is not allowed with lora.rank={lora.rank}: adalora begins "
            f"with more directions than it keeps. Take {lora.rank + 1} or more, or leave it out for 1.5 times the rank."
        )
    if "lora.method" in searched:
        return
    if lora.method is not Method.adalora and (lora.initial_rank is not None or "lora.initial_rank" in searched):
        yield (
            f"lora.initial_rank={lora.initial_rank} has no effect with lora.method={lora.method}: add lora=adalora, or "
            "leave it out."
        )
    if lora.method is Method.vera and (lora.alpha != usual.alpha or "lora.alpha" in searched):
        given = "a search over lora.alpha" if "lora.alpha" in searched else f"lora.alpha={lora.alpha}"
        yield f"{given} has no effect with lora.method=vera, which learns its scale: leave it out, or take lora=lora."
