"""Which tokens the loss is taken on, against a token list worked by hand."""

import copy

import pytest

from tune.data.mask import tokenize
from tune.errors import DataError
from tune.examples import Example, Message

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer():
    """One token a character, and the two marks of ChatML."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    marks = ["<|im_start|>", "<|im_end|>"]
    vocabulary = {word: place for place, word in enumerate([*marks, *map(chr, range(10, 127))])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|im_end|>")
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    made.chat_template = CHATML
    return made


def test_loss_is_taken_on_the_answer_and_its_end(tokenizer) -> None:
    example = Example(id="e", messages=(Message(role="user", content="hi"),), answer="ok")

    tokens = tokenize(tokenizer, example)

    shown = tokenizer.convert_ids_to_tokens(list(tokens.ids))
    assert shown == [
        *("<|im_start|>", "u", "s", "e", "r", "\n", "h", "i", "<|im_end|>", "\n"),
        *("<|im_start|>", "a", "s", "s", "i", "s", "t", "a", "n", "t", "\n"),
        *("o", "k", "<|im_end|>", "\n"),
    ]
    assert [label != -100 for label in tokens.labels] == [False] * 21 + [True] * 4
    assert tokens.labels[-4:] == list(tokens.ids[-4:])


def test_a_template_that_rewrites_the_question_is_refused(tokenizer) -> None:
    other = copy.deepcopy(tokenizer)
    other.chat_template = "{{ messages | length }}" + CHATML

    with pytest.raises(DataError, match="cannot be said which tokens are the answer's"):
        tokenize(other, Example(id="e", messages=(Message(role="user", content="hi"),), answer="ok"))
