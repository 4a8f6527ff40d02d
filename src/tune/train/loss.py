"""The loss of a batch, with logits made only where a token is learned.

A question is several times as long as its answer and the vocabulary is large, so the head over every
position costs as much as a third of a small model's step. TRL leaves those positions out on GPUs alone.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tune.examples import NO_LOSS


def answer_loss(model: Any, batch: Mapping[str, Any], *, n_tokens: Any = None) -> Any:
    """Return the mean negative log-likelihood of the labels, in nats a token; a scalar with a gradient.

    Args:
        model: Causal language model, with or without an adapter.
        batch: input_ids, attention_mask and labels, all (B, T); a label of NO_LOSS is not learned.
        n_tokens: What the sum is divided by, where a step has several batches; by default this batch's labels.
    """
    from torch.nn.functional import cross_entropy, pad

    labels = batch["labels"][:, 1:]  # (B, T - 1), each is told by the position before it
    learned = labels != NO_LOSS
    with _head_only_at(model.get_output_embeddings(), pad(learned, (0, 1))):
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        logits = model(**inputs, use_cache=False).logits  # (R, V), R positions learned
    total = cross_entropy(logits.float(), labels[learned].to(logits.device), reduction="sum")
    return total / (learned.sum().clamp(min=1) if n_tokens is None else n_tokens)


@contextmanager
def _head_only_at(head: Any, places: Any) -> Iterator[None]:
    """Let the head see the rows of a (B, T) mask alone; what the model does to logits after it is unchanged."""
    hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][places.to(inputs[0].device)],))
    try:
        yield
    finally:
        hook.remove()
