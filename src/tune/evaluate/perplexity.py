"""How surprised a model is by the right text, token by token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.errors import Diverged


@dataclass(frozen=True, kw_only=True, slots=True)
class Surprise:
    """Summed negative log-likelihoods, in nats, of N texts."""

    text: NDArray[np.float64]
    """(N,) of the whole text, its first token left out."""

    text_tokens: NDArray[np.float64]
    """(N,) how many tokens that sums over."""

    answer: NDArray[np.float64]
    """(N,) of the answer's tokens alone."""

    answer_tokens: NDArray[np.float64]
    """(N,) how many tokens that sums over."""

    @property
    def loss(self) -> float:
        """Return the mean over all answer tokens, the validation loss."""
        return float(self.answer.sum() / self.answer_tokens.sum())

    @property
    def perplexity(self) -> float:
        """Return exp of the mean over all tokens of all texts."""
        return float(np.exp(self.text.sum() / self.text_tokens.sum()))


def measure_surprise(
    model: Any,
    texts: Sequence[tuple[Sequence[int], int]],
    *,
    batch_size: int,
    pad_id: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Surprise:
    """Return the negative log-likelihood of each text.

    Args:
        model: Causal language model, adapted or not; left in the mode it was in.
        texts: N pairs of token ids and the number of them that are the question's.
        batch_size: Texts at once; similar lengths go together.
        pad_id: Fills the shorter rows; never scored.
        on_progress: Is told (texts so far, N).

    Raises:
        Diverged: A log-likelihood is NaN or infinite.
    """
    import torch

    order = sorted(range(len(texts)), key=lambda index: -len(texts[index][0]))
    found = np.zeros((len(texts), 4))
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                found[chosen] = _batch(model, [texts[index] for index in chosen], pad_id)
                if on_progress:
                    on_progress(start + len(chosen), len(order))
    finally:
        model.train(was_training)
    if not np.isfinite(found).all():
        msg = "the log-likelihood of a held-out text is NaN or infinite."
        raise Diverged(msg)
    return Surprise(text=found[:, 0], text_tokens=found[:, 1], answer=found[:, 2], answer_tokens=found[:, 3])


def _batch(model: Any, texts: list[tuple[Sequence[int], int]], pad_id: int) -> NDArray[np.float64]:
    """Return (B, 4): nats and tokens of the text, nats and tokens of the answer."""
    import torch

    longest = max(len(ids) for ids, _ in texts)
    ids = torch.full((len(texts), longest), pad_id)  # (B, T)
    mask = torch.zeros_like(ids)
    for row, (tokens, _) in enumerate(texts):
        ids[row, : len(tokens)] = torch.tensor(list(tokens))
        mask[row, : len(tokens)] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]  # (B, T - 1, V)
    nats = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")  # (B, T - 1)
    place = torch.arange(1, longest, device=ids.device)  # token that each column predicts
    n_prompt = torch.tensor([n for _, n in texts], device=ids.device)[:, None]
    real = mask[:, 1:].double()
    answer = real * (place >= n_prompt)
    columns = [(nats * real).sum(1), real.sum(1), (nats * answer).sum(1), answer.sum(1)]
    return torch.stack(columns, dim=1).cpu().numpy().astype(np.float64)
