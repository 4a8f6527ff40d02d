"""EVA: A begins as the principal directions of what the layers see of the training rows, and they share the ranks.

A layer whose inputs need more directions to be explained gets more of the budget, up to twice `lora.rank`; one that
adds nothing gets none, and is left alone.

Source: Paischer et al. 2024, https://arxiv.org/abs/2410.07170.
"""

import random
from collections.abc import Sequence
from typing import Any

from tune.errors import ConfigError, DataError

_MOST_ROWS = 256
"""Rows that are looked at; the directions of most layers have settled after some dozens."""

_MOST_PASSES = 1000
"""Batches after which directions that still turn are taken for ones that always will."""

_REDISTRIBUTION = 2.0
"""A layer may get so many times the rank; PEFT's default."""


def check_rank(rank: int, layers: Sequence[Any]) -> None:
    """Refuse more directions than a layer's inputs have.

    Raises:
        ConfigError: Twice the rank is above the narrowest input.
    """
    narrowest = min(layer.in_features if hasattr(layer, "in_features") else layer.weight.shape[0] for layer in layers)
    if _REDISTRIBUTION * rank > narrowest:
        msg = (
            f"lora.rank={rank} is not allowed with lora.method=eva: a layer may get twice as many directions, and the "
            f"narrowest of the adapted layers has {narrowest}. Take lora.rank={narrowest // 2} or less, or lora=lora."
        )
        raise ConfigError(msg)


def begin(model: Any, rows: Any, *, rank: int, seed: int) -> None:
    """Give a fresh adapter this start.

    Args:
        model: PEFT model.
        rows: Training rows with input_ids, (T,) each.
        rank: What a layer gets on average.
        seed: Draws the rows that are looked at.

    Raises:
        DataError: All rows together have fewer tokens than directions are sought.
        ConfigError: The directions do not settle.
    """
    from peft import EvaConfig, initialize_lora_eva_weights

    # Set now and not before: a plain adapter is made first, and PEFT would warn of the memory that it takes.
    own = model.peft_config["default"]
    # Of the rows' answers alone, short ones would leave a batch with fewer tokens than directions.
    own.init_lora_weights, own.eva_config = "eva", EvaConfig(rho=_REDISTRIBUTION, use_label_mask=False)
    batches = _batches([list(ids) for ids in _chosen(rows, seed)], n_tokens=round(2 * _REDISTRIBUTION * rank))
    passes = 0

    def look(model: Any, batch: Any) -> Any:
        nonlocal passes
        passes += 1
        if passes > _MOST_PASSES:
            msg = (
                f"lora.method=eva found no start: after {_MOST_PASSES} batches of training rows the principal "
                "directions still turn. Take a smaller lora.rank, more rows, or lora=lora."
            )
            raise ConfigError(msg)
        return model(**batch)

    initialize_lora_eva_weights(model, batches, forward_fn=look, show_progress_bar=False)
    own.init_lora_weights, own.eva_config = True, None  # what is saved is plain LoRA of several ranks
    for parameter in model.parameters():
        if parameter.requires_grad:  # a layer of another rank was made anew in the base's format
            parameter.data = parameter.data.float()


def _chosen(rows: Any, seed: int) -> list[Any]:
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)  # noqa: S311 - nothing secret is drawn
    return [rows[place]["input_ids"] for place in order[:_MOST_ROWS]]


def _batches(texts: list[list[int]], *, n_tokens: int) -> list[dict[str, Any]]:
    """Return batches of whole rows with at least so many tokens each; fewer cannot be decomposed."""
    import torch

    groups: list[list[list[int]]] = [[]]
    for text in texts:
        if sum(map(len, groups[-1])) >= n_tokens:
            groups.append([])
        groups[-1].append(text)
    if len(groups) > 1 and sum(map(len, groups[-1])) < n_tokens:
        groups[-2] += groups.pop()
    if (total := sum(map(len, groups[-1]))) < n_tokens:
        msg = (
            f"lora.method=eva needs {n_tokens} tokens of training rows at a time to find its directions, and all rows "
            f"have {total}. Take a smaller lora.rank, more rows, or lora=lora."
        )
        raise DataError(msg)
    pad = torch.nn.utils.rnn.pad_sequence
    return [
        {
            "input_ids": pad([torch.tensor(text) for text in group], batch_first=True),
            "attention_mask": pad([torch.ones(len(text), dtype=torch.long) for text in group], batch_first=True),
        }
        for group in groups
    ]
