"""How far a model with learned positions can read: it has one embedding a place, and beyond the last there is none."""

from typing import Any


def n_places(network: Any) -> int | None:
    """Return how many places a model has embeddings for; None where positions are computed, as RoPE's are.

    Looked for among the modules: GPT-2 has a row a place, OPT two more that nothing stands at.
    """
    from torch import nn

    limit = getattr(network.config, "max_position_embeddings", None)
    if not isinstance(limit, int):
        return None
    tables = [m for m in network.modules() if isinstance(m, nn.Embedding) and m is not network.get_input_embeddings()]
    return limit if any(limit <= table.num_embeddings <= limit + 2 for table in tables) else None
