"""The base's linear layers in four bits, and how much memory that takes.

Source: Dettmers et al. 2023, https://arxiv.org/abs/2305.14314, section 3 (NF4, double quantization).
"""

import logging
from typing import TYPE_CHECKING, Any

from tune.config.recipe import QuantizationConfig, QuantizationKind

if TYPE_CHECKING:
    import torch

_GIB = 1024**3


def bits_config(quantization: QuantizationConfig, *, dtype: "torch.dtype") -> Any:
    """Return what transformers needs to quantize while it loads.

    Args:
        quantization: Kind, and whether the blocks' constants are quantized too.
        dtype: Format of the base; the four bits are multiplied in it.
    """
    from transformers import BitsAndBytesConfig

    assert quantization.kind is QuantizationKind.nf4
    import_quietly()
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=quantization.double,
        bnb_4bit_compute_dtype=dtype,
    )


def keep_unpacked(model: Any) -> None:
    """Forbid bitsandbytes to rewrite the weights at the first forward pass in eval mode.

    On processors with AVX512-BF16 it would repack them in place for a kernel that computes in
    bfloat16, drops the double quantization, and has no gradient: the base would differ before and
    after its first scoring, and a training step after that would not reach the lower layers.
    """
    for layer in quantized_layers(model):
        layer.support_avx512bf16_for_cpu = False


def quantized_layers(model: Any) -> list[Any]:
    """Return the four-bit layers of a model."""
    from bitsandbytes.nn import Linear4bit

    return [module for module in model.modules() if isinstance(module, Linear4bit)]


def footprint_gib(model: Any) -> float:
    """Return the memory of a model's weights and buffers in GiB, with the blocks' constants of four-bit layers."""
    n_bytes = model.get_memory_footprint()
    if getattr(model, "is_loaded_in_4bit", False):
        n_bytes += sum(_constants_bytes(layer.weight.quant_state) for layer in quantized_layers(model))
    return float(n_bytes) / _GIB


def import_quietly() -> None:
    """Import bitsandbytes without its advice to install a kernel that `keep_unpacked` forbids.

    To be called before PEFT is imported, which imports bitsandbytes too.
    """
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_is_no_advice)
    import bitsandbytes  # noqa: F401


def _constants_bytes(state: Any) -> int:
    """One constant a block of 64 weights: a byte each and one float a 256 of them when doubled, else a float."""
    nested = state.state2.absmax.nbytes if state.nested else 0
    return int(state.absmax.nbytes) + int(nested)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "Failed to load CPU gemm_4bit_forward" not in record.getMessage()
