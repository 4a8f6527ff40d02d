"""The base's linear layers in four or eight bits, and how much memory that takes.

Source: Dettmers et al. 2023, https://arxiv.org/abs/2305.14314, section 3 (NF4, double quantization);
Dettmers et al. 2022, https://arxiv.org/abs/2208.07339 (LLM.int8).
"""

import logging
from typing import TYPE_CHECKING, Any

from tune.config.model import Dtype
from tune.config.recipe import QuantizationConfig, QuantizationKind

if TYPE_CHECKING:
    import torch

_GIB = 1024**3


def bits_config(quantization: QuantizationConfig, *, dtype: "torch.dtype") -> Any:
    """Return what transformers needs to quantize while it loads.

    Args:
        quantization: Any kind but none.
        dtype: Format of the base; four-bit layers are multiplied in it where `compute_dtype` is auto.
    """
    from transformers import BitsAndBytesConfig

    assert quantization.kind is not QuantizationKind.none
    import_quietly()
    if quantization.kind is QuantizationKind.int8:
        return BitsAndBytesConfig(load_in_8bit=True)
    auto = quantization.compute_dtype is Dtype.auto
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.kind.value,
        bnb_4bit_use_double_quant=quantization.double,
        bnb_4bit_compute_dtype=dtype if auto else quantization.compute_dtype.value,
        bnb_4bit_quant_storage=quantization.storage_dtype.value,
    )


def keep_unpacked(model: Any) -> None:
    """Forbid bitsandbytes to rewrite four-bit weights, NF4 or FP4, at the first forward pass in eval mode.

    On processors with AVX512-BF16 it would repack them in place for a kernel that computes in
    bfloat16, drops the double quantization, and has no gradient: the base would differ before and
    after its first scoring, and a training step after that would not reach the lower layers.
    """
    for layer in _four_bit_layers(model):
        layer.support_avx512bf16_for_cpu = False


def quantized_layers(model: Any) -> list[Any]:
    """Return the four-bit and eight-bit layers of a model."""
    return [*_four_bit_layers(model), *_eight_bit_layers(model)]


def plain_weight(layer: Any) -> Any:
    """Return a linear layer's weight as floats, as the layer multiplies with it; (out, in), transposed for Conv1D."""
    kind = type(layer).__name__
    if kind == "Linear4bit":
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    if kind == "Linear8bitLt":
        from bitsandbytes.functional import int8_vectorwise_dequant

        return int8_vectorwise_dequant(layer.weight.data, _scales(layer))
    return layer.weight.data


def footprint_gib(model: Any) -> float:
    """Return the memory of a model's weights and buffers in GiB, with the constants of quantized layers."""
    n_bytes = model.get_memory_footprint()
    if getattr(model, "is_loaded_in_4bit", False):
        n_bytes += sum(_constants_bytes(layer.weight.quant_state) for layer in _four_bit_layers(model))
    if getattr(model, "is_loaded_in_8bit", False):
        n_bytes += sum(int(_scales(layer).nbytes) for layer in _eight_bit_layers(model))
    return float(n_bytes) / _GIB


def import_quietly() -> None:
    """Import bitsandbytes without what it says of itself and nobody can change.

    That is the advice to install a kernel that `keep_unpacked` forbids, and for int8 one line a layer and forward
    pass that inputs are rounded by way of float16. To be called before PEFT is imported, which imports
    bitsandbytes too.
    """
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_is_no_advice)
    logging.getLogger("bitsandbytes.autograd._functions").addFilter(_is_no_cast)
    import bitsandbytes  # noqa: F401


def _four_bit_layers(model: Any) -> list[Any]:
    import_quietly()
    from bitsandbytes.nn import Linear4bit

    return [module for module in model.modules() if isinstance(module, Linear4bit)]


def _eight_bit_layers(model: Any) -> list[Any]:
    import_quietly()
    from bitsandbytes.nn import Linear8bitLt

    return [module for module in model.modules() if isinstance(module, Linear8bitLt)]


def _constants_bytes(state: Any) -> int:
    """One constant a block of 64 weights: a byte each and one float a 256 of them when doubled, else a float."""
    nested = state.state2.absmax.nbytes if state.nested else 0
    return int(state.absmax.nbytes) + int(nested)


def _scales(layer: Any) -> Any:
    """One float a row; the first forward pass moves them from the weight to the layer's state."""
    return layer.weight.SCB if layer.weight.SCB is not None else layer.state.SCB


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "Failed to load CPU gemm_4bit_forward" not in record.getMessage()


def _is_no_cast(record: logging.LogRecord) -> bool:
    return "MatMul8bitLt: inputs will be cast from" not in record.getMessage()
