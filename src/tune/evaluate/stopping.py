"""Texts at which a reply ends: it is cut before the first of them, and nobody waits for what would come behind."""

from collections.abc import Sequence
from typing import Any

_MARGIN = 8
"""Tokens looked at besides one for each byte that a text may have: marks without a text."""

_BYTES = 4
"""Of a character in UTF-8, at most."""


def cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """Return the text up to where the first of the stop texts begins, and whether one stands there."""
    found = min((at for at in map(text.find, stop) if at >= 0), default=None)
    return (text, False) if found is None else (text[:found], True)


def stopping(tokenizer: Any, stop: Sequence[str], *, n_prompt: int) -> Any:
    """Return what ends rows of a batch, as transformers' list of stopping criteria.

    Only the last tokens are read at each step. A row where a stop text shows there is read as a whole to be sure.

    Args:
        tokenizer: Of the model.
        stop: One text or more.
        n_prompt: Tokens before the replies.
    """
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    n_last = _BYTES * max(map(len, stop)) + _MARGIN

    def texts(ids: Any) -> list[str]:
        decoded: list[str] = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return decoded

    class Stops(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
        """True for the rows that are done."""

        def __call__(self, ids: Any, _: Any, **__: Any) -> Any:
            """Return (B,) whether a reply holds a stop text."""
            said = ids[:, n_prompt:]
            done = [cut(text, stop)[1] for text in texts(said[:, -n_last:])]
            if any(done) and said.shape[1] > n_last:
                whole = iter(texts(said[torch.tensor(done)]))
                done = [cut(next(whole), stop)[1] if shown else False for shown in done]
            return torch.tensor(done, device=ids.device)

    return StoppingCriteriaList([Stops()])
