"""The decoder's blocks and the linear layers in them, found by looking at the model."""

import re
from typing import Any

from tune.model.parts import Layer

BLOCK = re.compile(r"^(?P<stack>(?:.*?\.)?(?:layers|h|blocks|block|layer))\.(?P<block>\d+)\.(?P<inside>.+)$")
"""Name of a module inside a block: whose blocks, which one, and the name in it."""


def decoder_layers(model: Any) -> list[Layer]:
    """Return the linear layers of the decoder's blocks, in the model's order."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    prefix = _decoder_prefix(model)
    found = []
    for name, module in model.named_modules():
        match = BLOCK.match(name) if name.startswith(prefix) else None
        # Linear4bit of bitsandbytes is an nn.Linear too. GPT-2's Conv1D keeps its weight as (in, out).
        if match and isinstance(module, nn.Linear | Conv1D):
            n_in, n_out = (
                (module.nx, module.nf) if isinstance(module, Conv1D) else (module.in_features, module.out_features)
            )
            found.append(
                Layer(name=name, inside=match["inside"], block=int(match["block"]), n_in=int(n_in), n_out=int(n_out))
            )
    return found


def count_blocks(model: Any) -> int:
    """Return how many blocks the decoder has."""
    prefix = _decoder_prefix(model)
    matches = [BLOCK.match(name) for name, _ in model.named_modules() if name.startswith(prefix)]
    return 1 + max((int(match["block"]) for match in matches if match), default=-1)


def _decoder_prefix(model: Any) -> str:
    """Return the name of the text decoder, so that the towers for pictures or sound are left alone."""
    decoder = model.get_decoder()
    return next((f"{name}." for name, module in model.named_modules() if module is decoder and name), "")
