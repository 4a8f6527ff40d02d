"""Virtual tokens that are begun as real ones do what those do in front of every text, wherever the model is read."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tune.config.evaluation import ChoiceForm
from tune.config.method import Method
from tune.config.recipe import LoraConfig, TrainConfig
from tune.evaluate.generate import generate_replies
from tune.evaluate.harness import score_choices
from tune.evaluate.perplexity import measure_surprise
from tune.evaluate.questions import Question, QuestionBank
from tune.examples import NO_LOSS
from tune.model import adapt, prompts
from tune.model.adapt import Adapted
from tune.train.fit import fit
from tune.train.loss import answer_loss
from tune.train.watch import Follow
from tune.trial.bench import Bench

IDS = [41, 7, 300, 12, 99]
TEXTS = [[10, 11, 12, 13, 14, 15, 16], [20, 21, 22], [30, 31, 32, 33, 34]]
CLOSE = 1e-3  # nats; a sum of many float32 products in another order


@pytest.fixture(params=[Method.prompt, Method.prefix])
def adapted(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Adapted]:
    """The base with virtual tokens that are IDS."""
    network = bench.base.model
    found = adapt.attach(bench.base, LoraConfig(method=request.param, virtual_tokens=len(IDS)), seed=0)
    if request.param is Method.prefix:
        prompts.begin_prefix_as(found.model, network, torch.tensor(IDS))
    else:
        embeddings = network.get_input_embeddings()(torch.tensor(IDS))
        found.model.prompt_encoder["default"].embedding.weight.data = embeddings.detach()
    yield found
    adapt.detach(found)


class InFront(torch.nn.Module):
    """The base that reads IDS before every text, and gives the text's logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.device, self.config = model, model.device, model.config

    def forward(self, token_ids: torch.Tensor, **_: Any) -> Any:
        front = torch.tensor(IDS).expand(len(token_ids), -1)
        logits = self.model(torch.cat([front, token_ids], dim=1), use_cache=False).logits
        return SimpleNamespace(logits=logits[:, len(IDS) :])


def batch(texts: list[list[int]], *, n_question: int) -> dict[str, torch.Tensor]:
    """Return texts padded on the right; the labels of the first tokens and of the padding are not learned."""
    longest = max(len(text) for text in texts)
    rows = [text + [3] * (longest - len(text)) for text in texts]
    labels = [[NO_LOSS] * n_question + text[n_question:] + [NO_LOSS] * (longest - len(text)) for text in texts]
    mask = [[1] * len(text) + [0] * (longest - len(text)) for text in texts]
    named = {"input_ids": rows, "attention_mask": mask, "labels": labels}
    return {name: torch.tensor(value) for name, value in named.items()}


def plain(adapted: Adapted, bench: Bench) -> Any:
    """Return the base without virtual tokens."""
    adapt.detach(adapted)
    return bench.base.model


def test_there_are_logits_for_the_text_alone(adapted: Adapted, bench: Bench) -> None:
    ids = torch.tensor(TEXTS[:1])
    with torch.no_grad():
        found = adapted.model(input_ids=ids, use_cache=False).logits
        expected = InFront(plain(adapted, bench))(ids).logits

    assert torch.allclose(found, expected, atol=CLOSE)


def test_the_loss(adapted: Adapted, bench: Bench) -> None:
    found = answer_loss(adapted.model, batch(TEXTS, n_question=2))
    found.backward()
    learned = adapted.model.prompt_encoder["default"].embedding.weight.grad
    model = plain(adapted, bench)
    expected = answer_loss(model, batch([IDS + text for text in TEXTS], n_question=len(IDS) + 2))

    assert found.item() == pytest.approx(expected.item(), abs=CLOSE)
    assert learned is not None
    assert learned.abs().sum(dim=1).min() > 0, "every virtual token is learned"


def test_replies_do_not_depend_on_how_much_their_batch_is_padded(adapted: Adapted, bench: Bench) -> None:
    def replies(model: Any, prompts: list[list[int]], batch_size: int) -> list[str]:
        return generate_replies(
            model, bench.base.tokenizer, prompts, max_new_tokens=8, batch_size=batch_size, end_ids=[]
        )

    together, alone = replies(adapted.model, TEXTS, 3), replies(adapted.model, TEXTS, 1)
    model = plain(adapted, bench)

    assert together == alone == replies(model, [IDS + text for text in TEXTS], 1)
    assert together != replies(model, TEXTS, 1), "they make a difference"


def test_the_surprise_at_answers(adapted: Adapted, bench: Bench) -> None:
    found = measure_surprise(adapted.model, [(text, 2) for text in TEXTS], batch_size=3, pad_id=3)
    model = plain(adapted, bench)
    expected = measure_surprise(model, [(IDS + text, len(IDS) + 2) for text in TEXTS], batch_size=3, pad_id=3)

    assert found.answer == pytest.approx(expected.answer, abs=CLOSE)
    assert np.array_equal(found.answer_tokens, expected.answer_tokens)
    assert found.text_tokens.tolist() == [6, 2, 4], "virtual tokens are no text"


@pytest.mark.parametrize("form", ChoiceForm)
def test_the_scores_of_choices(adapted: Adapted, bench: Bench, form: ChoiceForm) -> None:
    question = Question(
        id="anatomy/0", subject="anatomy", text="How many?", choices=("one", "two or more", "three", "four"), answer=1
    )
    bank = QuestionBank(name="mmlu", test=(question,), shots={}, digest="")

    found = score_choices(adapted.model, bench.base.tokenizer, bank, form=form, n_shot=0, batch_size=4)
    model = InFront(plain(adapted, bench)).eval()
    expected = score_choices(model, bench.base.tokenizer, bank, form=form, n_shot=0, batch_size=4)

    assert found.logprobs == pytest.approx(expected.logprobs, abs=CLOSE)


def test_prompt_tuning_trains_the_same_with_gradient_checkpointing(bench: Bench) -> None:
    from datasets import Dataset

    rows = Dataset.from_list([{"input_ids": text, "labels": [NO_LOSS, *text[1:]]} for text in TEXTS])

    def losses(*, checkpointing: bool) -> tuple[float, ...]:
        adapted = adapt.attach(bench.base, LoraConfig(method=Method.prompt, virtual_tokens=5), seed=0)
        train = TrainConfig(max_steps=3, gradient_checkpointing=checkpointing)
        try:
            follow = Follow(on_step=lambda *_: None, checkpoints=None)
            return fit(adapted.model, bench.base.tokenizer, rows, train, seed=0, follow=follow).losses
        finally:
            adapt.detach(adapted)

    assert losses(checkpointing=True) == pytest.approx(losses(checkpointing=False), abs=CLOSE)


def test_detaching_leaves_no_hook_and_no_method_of_its_own(adapted: Adapted, bench: Bench) -> None:
    model = plain(adapted, bench)

    assert not model.get_decoder()._forward_hooks
    assert not model.get_decoder()._forward_pre_hooks
    assert not model._forward_pre_hooks
    assert "prepare_inputs_for_generation" not in vars(model)
