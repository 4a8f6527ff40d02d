"""Replies of a model: greedy, batched, longest prompts first."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def generate_replies(  # noqa: PLR0913 - a model and its tokenizer are one thing in two objects
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    end_ids: Sequence[int],
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Return one reply a prompt, in the order of the prompts, without special tokens.

    Args:
        model: Causal language model, adapted or not; left in the mode it was in.
        tokenizer: Its tokenizer; the pad token is set.
        prompts: N lists of token ids, each ending where the reply starts.
        max_new_tokens: Longest reply, in tokens.
        batch_size: Prompts at once; similar lengths go together, so little is padded.
        end_ids: Tokens that end a reply; none: only its length does.
        on_progress: Is told (replies so far, N).
    """
    import torch

    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    replies = [""] * len(prompts)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), _head_on_whole_rows(model):
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                texts = _generate(model, tokenizer, [prompts[index] for index in chosen], max_new_tokens, end_ids)
                for index, text in zip(chosen, texts, strict=True):
                    replies[index] = text
                if on_progress:
                    on_progress(start + len(chosen), len(order))
    finally:
        model.train(was_training)
    return replies


@contextmanager
def _head_on_whole_rows(model: Any) -> Iterator[None]:
    """Let the head see the prompts' last positions as rows that lie together.

    They are a slice of (B, T, width), which torch multiplies prompt by prompt; on a CPU in 16 bit it copies the head's
    weight for each of them, which takes more memory and time than all the rest of the reply.
    """
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(), *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()


def _generate(
    model: Any, tokenizer: Any, prompts: list[Sequence[int]], max_new_tokens: int, end_ids: Sequence[int]
) -> list[str]:
    import torch

    longest = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), longest), tokenizer.pad_token_id)  # (B, T), padded on the left
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = 1
    out = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=list(end_ids) or None,
    )  # (B, T + new)
    texts = tokenizer.batch_decode(out[:, longest:], skip_special_tokens=True)
    return [text.strip() for text in texts]
