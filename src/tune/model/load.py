"""The frozen base, ready to be scored and adapted: model, tokenizer, and a digest of what they are."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune.config.model import Device, Dtype, ModelConfig
from tune.config.recipe import QuantizationConfig, QuantizationKind
from tune.errors import AssetError, ConfigError
from tune.model.digest import weights_digest
from tune.model.hub import first_line, local_folder

if TYPE_CHECKING:
    import torch

# Reserved for padding in models that ship no pad token (Llama 3, Qwen, Mistral, Phi).
_PAD_CANDIDATES = ("<|finetune_right_pad_id|>", "<|pad|>", "<pad>", "[PAD]", "<|padding|>", "<|endoftext|>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A pretrained model whose weights never change."""

    model: Any
    """transformers causal language model in eval mode, no parameter asks for gradients."""

    tokenizer: Any
    """Its tokenizer; the pad token is set."""

    device: "torch.device"
    """Where the weights are."""

    dtype: "torch.dtype"
    """Number format of what is not quantized, and of the computation."""

    digest: str
    """SHA-256 over the weights files and config, before quantization."""

    folder: Path | None = None
    """Where those files are."""


def load_base(model: ModelConfig, quantization: QuantizationConfig, *, folder: Path | str) -> Base:
    """Return the base model, frozen.

    Args:
        model: Device, number format, the revision of a hub model, and whether the model's own code may run.
        quantization: Storage of the linear layers.
        folder: Local folder of the model, or a hub id.

    Raises:
        AssetError: The hub does not give the model, or its files do not make up a whole one.
        ConfigError: The device is not there, or the folder holds no plain safetensors model.
    """
    device = pick_device(model.device)
    dtype = pick_dtype(model.dtype, device)
    local = local_folder(folder, model)
    with _one_paragraph(local):
        tokenizer = _load_tokenizer(local, own_code=model.runs_own_code)
        network = _load_network(local, model, quantization, device=device, dtype=dtype)
    network.config.use_cache = True
    network.generation_config = _plain_generation(network.generation_config, pad_id=tokenizer.pad_token_id)
    return Base(
        model=network.eval().requires_grad_(requires_grad=False),
        tokenizer=tokenizer,
        device=device,
        dtype=dtype,
        digest=weights_digest(local, with_code=model.runs_own_code),
        folder=Path(local),
    )


def _plain_generation(own: Any, *, pad_id: int) -> Any:
    """Return generation settings that change no probability.

    A model may bring a penalty on repeated words, which holds for the prompt's words too, forbidden tokens or a
    temperature: replies would then not be the likeliest ones, nor sampled as evaluate.sampling says.
    """
    from transformers import GenerationConfig

    ends = {"bos_token_id": own.bos_token_id, "eos_token_id": own.eos_token_id, "pad_token_id": pad_id}
    return GenerationConfig(**ends, use_cache=True)


def load_tokenizer(model: ModelConfig, folder: Path | str) -> Any:
    """Return the model's tokenizer alone; the pad token is set, and torch is not imported.

    Raises:
        AssetError: Its files are broken or not there.
    """
    local = local_folder(folder, model)
    with _one_paragraph(local):
        return _load_tokenizer(local, own_code=model.runs_own_code)


def pick_device(device: Device) -> "torch.device":
    """Return the device; `auto` is CUDA where there is one.

    Raises:
        ConfigError: CUDA is asked for and there is none.
    """
    import torch

    if device is Device.cuda and not torch.cuda.is_available():
        msg = (
            "model.device=cuda, but torch sees no CUDA device. Use model.device=cpu or auto, "
            "or install the torch build for your driver."
        )
        raise ConfigError(msg)
    use_cuda = device is Device.cuda or (device is Device.auto and torch.cuda.is_available())
    return torch.device("cuda", torch.cuda.current_device()) if use_cuda else torch.device("cpu")


def pick_dtype(dtype: Dtype, device: "torch.device") -> "torch.dtype":
    """Return the number format; `auto` is bfloat16 on CUDA and float32 on CPU."""
    import torch

    if dtype is Dtype.auto:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    named = getattr(torch, dtype.value)
    assert isinstance(named, torch.dtype)
    return named


@contextmanager
def _one_paragraph(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise about broken files into one paragraph."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        msg = (
            f"the model in {folder} cannot be loaded: {first_line(error)} "
            "Copy or fetch it again, or use a transformers version that knows it."
        )
        raise AssetError(msg) from error


def _load_network(
    folder: Path, model: ModelConfig, quantization: QuantizationConfig, *, device: "torch.device", dtype: "torch.dtype"
) -> Any:
    from transformers import AutoModelForCausalLM

    from tune.model import quantize
    from tune.model.progress import no_progress_bars

    quantized = quantization.kind is not QuantizationKind.none
    extra = {"quantization_config": quantize.bits_config(quantization, dtype=dtype)} if quantized else {}
    with no_progress_bars():
        network, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            device_map={"": str(device)},
            use_safetensors=True,
            trust_remote_code=model.runs_own_code,
            local_files_only=True,
            output_loading_info=True,
            **extra,
        )
    _refuse_missing(folder, report["missing_keys"])
    if quantized:
        quantize.keep_unpacked(network)
    return network


def _refuse_missing(folder: Path, missing: "set[str] | list[str]") -> None:
    """A base must not be random: transformers fills what a file lacks with random numbers and goes on."""
    if missing:
        names = ", ".join(sorted(missing)[:3])
        msg = f"the weights in {folder} lack {len(missing)} tensors of this architecture ({names}). Copy it again."
        raise AssetError(msg)


def _load_tokenizer(folder: Path, *, own_code: bool) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=own_code)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = _pad_token(tokenizer)
    return tokenizer


def _pad_token(tokenizer: Any) -> str:
    """Return a token for padding: one that is reserved, else the end token.

    The end token is the last resort: whoever masks labels by the pad token's id would also
    hide every end, and the model would never learn to stop.
    """
    vocabulary = tokenizer.get_vocab()
    reserved = [token for token in _PAD_CANDIDATES if token in vocabulary and token != tokenizer.eos_token]
    if not reserved and tokenizer.eos_token is None:
        msg = "the tokenizer has neither a pad token nor an end token. Set one of them in its tokenizer_config.json."
        raise AssetError(msg)
    if not reserved:
        logging.getLogger(__name__).warning("no reserved pad token: padding with the end token %s", tokenizer.eos_token)
    return str(reserved[0] if reserved else tokenizer.eos_token)
