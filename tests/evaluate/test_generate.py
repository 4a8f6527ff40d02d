"""Batched greedy replies and summed log-likelihoods, against a loop that does one token at a time."""

import copy

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from tests.llama import llama
from tune.errors import Diverged
from tune.evaluate.generate import generate_replies
from tune.evaluate.perplexity import measure_surprise

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [4, 4]]


class Numbers:
    """A tokenizer whose words are numbers; 0 pads, 1 ends."""

    pad_token_id = 0
    eos_token_id = 1

    def batch_decode(self, rows: torch.Tensor, *, skip_special_tokens: bool) -> list[str]:
        assert skip_special_tokens
        return [" ".join(str(t) for t in row.tolist() if t > 1) for row in rows]


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return llama(seed=3).eval()


def one_by_one(model: LlamaForCausalLM, prompt: list[int], n: int) -> str:
    ids = list(prompt)
    for _ in range(n):
        with torch.no_grad():
            token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        ids.append(token)
        if token == 1:
            break
    return " ".join(str(t) for t in ids[len(prompt) :] if t > 1)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batched_replies_are_those_of_one_token_at_a_time(model: LlamaForCausalLM, batch_size: int) -> None:
    seen = []

    replies = generate_replies(
        model,
        Numbers(),
        PROMPTS,
        max_new_tokens=6,
        batch_size=batch_size,
        end_ids=[1],
        on_progress=lambda d, n: seen.append((d, n)),
    )

    assert replies == [one_by_one(model, prompt, 6) for prompt in PROMPTS]
    assert seen[-1] == (4, 4)


def test_a_reply_ends_at_the_template_s_end_token_too(model: LlamaForCausalLM) -> None:
    whole = generate_replies(model, Numbers(), PROMPTS[:1], max_new_tokens=6, batch_size=1, end_ids=[1])[0].split()
    end = int(whole[2])

    cut = generate_replies(model, Numbers(), PROMPTS[:1], max_new_tokens=6, batch_size=1, end_ids=(1, end))

    assert cut == [" ".join(whole[: whole.index(str(end)) + 1])]


def test_the_head_sees_rows_that_lie_together_and_is_left_as_it_was(model: LlamaForCausalLM) -> None:
    # torch multiplies the last positions of several prompts one by one, and in bfloat16 copies the weight for each.
    seen = []
    watch = model.lm_head.register_forward_hook(lambda _head, inputs, _logits: seen.append(inputs[0]))
    generate_replies(model, Numbers(), PROMPTS, max_new_tokens=3, batch_size=4, end_ids=[1])
    watch.remove()

    assert seen[0].shape == (4, 1, 32)
    assert all(rows.is_contiguous() for rows in seen)
    assert not model.lm_head._forward_pre_hooks


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_surprise_is_the_sum_over_tokens(model: LlamaForCausalLM, batch_size: int) -> None:
    texts = [([*prompt, 3, 1], len(prompt)) for prompt in PROMPTS]

    found = measure_surprise(model, texts, batch_size=batch_size, pad_id=0)

    for row, (ids, n_prompt) in enumerate(texts):
        with torch.no_grad():
            logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        nats = [-float(logs[place - 1, ids[place]]) for place in range(1, len(ids))]
        assert found.text[row] == pytest.approx(sum(nats), abs=1e-4)
        assert found.answer[row] == pytest.approx(sum(nats[n_prompt - 1 :]), abs=1e-4)
        assert (found.text_tokens[row], found.answer_tokens[row]) == (len(ids) - 1, 2)
    assert found.perplexity == pytest.approx(np.exp(found.text.sum() / found.text_tokens.sum()))


def test_a_nan_in_the_weights_is_a_divergence(model: LlamaForCausalLM) -> None:
    broken = copy.deepcopy(model)
    broken.model.norm.weight.data[0] = float("nan")

    with pytest.raises(Diverged, match="NaN or infinite"):
        measure_surprise(broken, [([3, 4, 5], 1)], batch_size=1, pad_id=0)
