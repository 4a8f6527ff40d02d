"""Where a reply ends, and how it is drawn: against loops that do one token at a time."""

from collections import Counter

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from tests.llama import llama
from tune.config.sampling import SamplingConfig
from tune.evaluate.drawing import seeds_of
from tune.evaluate.generate import Manner, Reply, write_replies
from tune.evaluate.stopping import cut

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [4, 4], [20]]


class Numbers:
    """A tokenizer whose words are numbers; 0 pads, 1 ends."""

    pad_token_id = 0

    def batch_decode(self, rows: torch.Tensor, *, skip_special_tokens: bool) -> list[str]:
        assert skip_special_tokens
        return ["".join(f"{t} " for t in row.tolist() if t > 1) for row in rows]


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return llama(seed=3).eval()


def replies(model, manner: Manner, *, batch_size: int = 3, prompts=PROMPTS) -> list[Reply]:
    return write_replies(model, Numbers(), prompts, manner, batch_size=batch_size)


@pytest.mark.parametrize(
    ("text", "stop", "kept"),
    [
        ("a. b. c", [". "], ("a", True)),
        ("one two", ["two", "one"], ("", True)),  # the one that comes first, whatever the order of the list
        ("one", ["two"], ("one", False)),
        ("one", [], ("one", False)),
        ("", ["a"], ("", False)),
    ],
)
def test_a_text_is_cut_before_the_first_stop(text: str, stop: list[str], kept: tuple[str, bool]) -> None:
    assert cut(text, stop) == kept


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_stop_text_ends_a_reply_in_any_batch(model, batch_size: int) -> None:
    whole = replies(model, Manner(max_new_tokens=24, end_ids=[1]))
    word = whole[0].text.split()[5]
    stop = [f" {word} "]

    found = replies(model, Manner(max_new_tokens=24, end_ids=[1], stop=stop), batch_size=batch_size)

    expected = [cut(f"{reply.text} ", stop) for reply in whole]
    assert [reply.text for reply in found] == [text.strip() for text, _ in expected]
    assert found[0].capped is False
    assert len(found[0].text) < len(whole[0].text)


def test_nobody_waits_for_what_comes_behind_the_stop(model) -> None:
    whole = replies(model, Manner(max_new_tokens=60), prompts=PROMPTS[:1])[0].text.split()
    steps = []
    watch = model.lm_head.register_forward_hook(lambda *_: steps.append(1))
    replies(model, Manner(max_new_tokens=60, stop=[f" {whole[3]} "]), prompts=PROMPTS[:1])
    watch.remove()

    assert len(steps) == [f" {word} " for word in whole].index(f" {whole[3]} ", 1) + 1


def test_what_only_the_limit_ended_is_capped(model) -> None:
    short, long = (replies(model, Manner(max_new_tokens=n, end_ids=range(1, 17))) for n in (1, 40))

    firsts = [int(reply.text or 1) for reply in short]
    assert [reply.capped for reply in short] == [first > 16 for first in firsts]
    assert len(set(firsts)) > 1
    # half of the tokens end a reply, so hardly one of 40 goes on to its end
    assert [reply.capped for reply in long] == [not set(map(int, reply.text.split())) & set(range(2, 17)) and len(
        reply.text.split()) == 40 for reply in long]  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_drawn_reply_is_the_same_in_any_batch_and_order(model, batch_size: int) -> None:
    def drawn(order: list[int], batch_size: int, seed: int = 0) -> list[str]:
        seeds = seeds_of([f"e{n}" for n in order], seed)
        manner = Manner(max_new_tokens=8, end_ids=[1], sampling=SamplingConfig(temperature=0.9), seeds=seeds)
        return [one.text for one in replies(model, manner, batch_size=batch_size, prompts=[PROMPTS[n] for n in order])]

    usual = drawn([0, 1, 2, 3, 4], 5)

    assert drawn([3, 0, 4, 2, 1], batch_size) == [usual[n] for n in (3, 0, 4, 2, 1)]
    assert drawn([0, 1, 2, 3, 4], 5, seed=1) != usual
    assert usual != [reply.text for reply in replies(model, Manner(max_new_tokens=8, end_ids=[1]))]


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.5, 0.6)])
def test_tokens_are_drawn_with_their_probability(model, temperature: float, top_p: float) -> None:
    n = 3000
    with torch.no_grad():
        logits = model(torch.tensor([PROMPTS[0]])).logits[0, -1].double()
    right = (logits / temperature).softmax(-1).numpy()
    order = np.argsort(-right)
    n_kept = int(np.searchsorted(np.cumsum(right[order]), top_p)) + 1  # the fewest that reach top_p
    right[order[n_kept:]] = 0
    right /= right.sum()

    manner = Manner(
        max_new_tokens=1,
        sampling=SamplingConfig(temperature=temperature, top_p=top_p),
        seeds=seeds_of([str(i) for i in range(n)], 7),
    )
    counts = Counter(reply.text for reply in replies(model, manner, batch_size=500, prompts=[PROMPTS[0]] * n))

    share = np.array([counts[str(token)] / n for token in range(32)])
    visible = np.arange(32) > 1  # 0 and 1 are not written
    error = 4.5 * np.sqrt(right * (1 - right) / n) + 1e-9
    assert (np.abs(share - right) <= error)[visible].all()


def test_one_model_with_the_same_numbers_says_the_same_and_a_near_one_nearly(model) -> None:
    ids = [str(i) for i in range(60)]
    manner = Manner(max_new_tokens=1, sampling=SamplingConfig(temperature=1.0), seeds=seeds_of(ids, 0))
    near = LlamaForCausalLM(model.config).eval()
    near.load_state_dict(model.state_dict())
    with torch.no_grad():
        near.lm_head.weight += 0.01 * torch.randn(near.lm_head.weight.shape, generator=torch.Generator().manual_seed(1))

    one, same, other = (
        [r.text for r in replies(m, manner, batch_size=20, prompts=[PROMPTS[0]] * 60)] for m in (model, model, near)
    )

    assert one == same
    assert np.mean([a == b for a, b in zip(one, other, strict=True)]) > 0.9
    assert len(set(one)) > 5
