"""Replies of a model: greedy or drawn, batched, longest prompts first."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tune.config.sampling import SamplingConfig
from tune.evaluate.drawing import drawing
from tune.evaluate.stopping import cut, stopping


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a model said."""

    text: str
    """Without special tokens, without white space around it, and without a stop text and what follows."""

    capped: bool
    """Whether only the limit of its length ended it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How replies are written."""

    max_new_tokens: int
    """Longest reply, in tokens."""

    end_ids: Sequence[int] = ()
    """Tokens that end a reply; none: only its length and stop texts do."""

    stop: Sequence[str] = ()
    """Texts that end it."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    seeds: Sequence[int] = ()
    """(N,) of the examples; needed where the temperature is above 0."""


def write_replies(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    manner: Manner,
    *,
    batch_size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Reply]:
    """Return one reply a prompt, in the order of the prompts.

    Args:
        model: Causal language model, adapted or not; left in the mode it was in.
        tokenizer: Its tokenizer; the pad token is set.
        prompts: N lists of token ids, each ending where the reply starts.
        manner: How long, to where, greedy or drawn.
        batch_size: Prompts at once; similar lengths go together, so little is padded.
        on_progress: Is told (replies so far, N).
    """
    import torch

    assert not manner.sampling.temperature or len(manner.seeds) == len(prompts), "one seed a prompt"
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    replies: list[Reply] = [Reply(text="", capped=False)] * len(prompts)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), _head_on_whole_rows(model):
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                seeds = [manner.seeds[index] for index in chosen] if manner.sampling.temperature else []
                found = _generate(model, tokenizer, [prompts[index] for index in chosen], manner, seeds)
                for index, reply in zip(chosen, found, strict=True):
                    replies[index] = reply
                if on_progress:
                    on_progress(start + len(chosen), len(order))
    finally:
        model.train(was_training)
    return replies


def generate_replies(  # noqa: PLR0913 - as above
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    end_ids: Sequence[int],
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Return the texts of greedy replies; see `write_replies`."""
    manner = Manner(max_new_tokens=max_new_tokens, end_ids=end_ids)
    found = write_replies(model, tokenizer, prompts, manner, batch_size=batch_size, on_progress=on_progress)
    return [reply.text for reply in found]


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
    model: Any, tokenizer: Any, prompts: list[Sequence[int]], manner: Manner, seeds: Sequence[int]
) -> list[Reply]:
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
        max_new_tokens=manner.max_new_tokens,
        do_sample=False,  # what draws is among the logits processors
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=list(manner.end_ids) or None,
        **({"logits_processor": drawing(manner.sampling, seeds)} if manner.sampling.temperature else {}),
        **({"stopping_criteria": stopping(tokenizer, manner.stop, n_prompt=longest)} if manner.stop else {}),
    )  # (B, T + new)
    said = out[:, longest:]
    texts = tokenizer.batch_decode(said, skip_special_tokens=True)
    return [_reply(text, row.tolist(), manner) for text, row in zip(texts, said, strict=True)]


def _reply(text: str, ids: Sequence[int], manner: Manner) -> Reply:
    is_long = len(ids) >= manner.max_new_tokens
    kept, stopped = cut(text, manner.stop)
    return Reply(text=kept.strip(), capped=not stopped and is_long and set(manner.end_ids).isdisjoint(ids))
