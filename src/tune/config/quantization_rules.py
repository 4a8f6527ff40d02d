"""Settings of a quantization that its kind would silently leave out."""

from collections.abc import Iterator

from tune.config.model import Dtype
from tune.config.recipe import QuantizationConfig, QuantizationKind, StorageDtype

_WHY = {
    QuantizationKind.none: "nothing is quantized",
    QuantizationKind.int8: "int8 has one constant a row, takes each product in eight bits, and is stored in them",
}


def impossible_quantization(quantization: QuantizationConfig) -> Iterator[str]:
    """Yield why a setting has no effect on this kind; only four-bit kinds have blocks and packed weights."""
    if quantization.kind.is_four_bit:
        return
    given = {
        "double": (quantization.double, False),
        "compute_dtype": (quantization.compute_dtype, Dtype.auto),
        "storage_dtype": (quantization.storage_dtype, StorageDtype.uint8),
    }
    for key, (value, default) in given.items():
        if value != default:
            yield (
                f"quantization.{key}={str(value).lower()} has no effect with quantization.kind={quantization.kind}: "
                f"{_WHY[quantization.kind]}. It is allowed with nf4 and fp4. Take one of them, or leave it at "
                f"{str(default).lower()}."
            )
