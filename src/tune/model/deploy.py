"""A base with an adapter merged into its weights, as it would be deployed.

Where the base is quantized, the update is added to its weights as they were before, and the sum is quantized: that is
how merged models are made for serving. Added to weights that stand on the levels of four bits already, an update
smaller than half a step is rounded away, all of it. LoftQ's adapter corrects the quantization itself, so it is added to
the quantized weights: it alone moves them off their levels.
"""

import gc
import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tune.config.method import Method
from tune.config.model import Device, Dtype
from tune.config.recipe import QuantizationConfig, QuantizationKind
from tune.config.schema import Config
from tune.errors import Diverged
from tune.model import prompts
from tune.model.adapt import Adapted, reload
from tune.model.load import load_base
from tune.model.quantize import keep_unpacked

APART = "virtual tokens have no weights to be merged into: they are deployed as they are, beside the base"
WHOLE = "every weight was trained: the model is deployed as it was saved"


def deployed(adapted: Adapted, config: Config, adapter: Path, *, work: Path) -> tuple[Any, str | None]:
    """Return the model in the form in which it would be deployed, and what should be known of it, or None.

    Args:
        adapted: A base with the reloaded adapter; it is used up: load the base again afterwards.
        config: The trial's.
        adapter: Where it was saved.
        work: Folder in which a merged model may be written for a moment, as large as the base unquantized.

    Raises:
        Diverged: A merged weight is NaN or infinite.
        AssetError: The base's files have gone.
    """
    if isinstance(adapted.trained, prompts.VirtualTokens):
        return adapted.model, APART
    if adapted.trained is not None:
        return adapted.model, WHOLE
    quantized = config.quantization.kind is not QuantizationKind.none
    if quantized and config.lora.method is not Method.loftq:
        return _quantized_again(config, adapter, base=adapted.base, work=work), None
    return merge(adapted), None


def merge(adapted: Adapted) -> Any:
    """Return the base with the adapter in its weights; the base's digest is not theirs any more.

    Raises:
        Diverged: A merged weight is NaN or infinite.
    """
    with warnings.catch_warnings():
        # What it warns of, that quantizing rounds, is what is measured here.
        warnings.filterwarnings("ignore", "Merge lora module to", UserWarning)
        try:
            model = adapted.model.merge_and_unload(safe_merge=True)
        except ValueError as error:
            if "NaNs" not in str(error):
                raise
            msg = f"the adapter cannot be merged: {error}"
            raise Diverged(msg) from error
    if adapted.beside:
        adapted.beside.leave(model)
    keep_unpacked(model)
    return model.eval().requires_grad_(requires_grad=False)


def _quantized_again(config: Config, adapter: Path, *, base: Any, work: Path) -> Any:
    """Return the base's own weights with the adapter in them, quantized as the base is."""
    plain = replace(config.model, device=Device.cpu, dtype=Dtype(str(base.dtype).removeprefix("torch.")))
    whole = merge(reload(load_base(plain, QuantizationConfig(), folder=base.folder), adapter))
    work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="merged-", dir=work) as folder:
        whole.save_pretrained(folder)
        base.tokenizer.save_pretrained(folder)
        del whole
        gc.collect()
        again = replace(config.model, path=folder, embedded=None, revision=None, dtype=plain.dtype)
        return load_base(again, config.quantization, folder=Path(folder)).model
