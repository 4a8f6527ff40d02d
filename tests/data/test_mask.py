"""Which tokens the loss is taken on, against token lists worked by hand."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.chat_tokenizers import CHAT, CHATML, CHATML_MARKS, LLAMA_MARKS, by_character, by_pieces, published
from tune.config.data import Learn
from tune.data.mask import pieces, tokenize, tokenize_all
from tune.errors import DataError
from tune.examples import Example, Message

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n"
    "' + message['content'] + '<|im_end|>' + '\n"
    "'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n"
    "' }}{% endif %}"
)

QUESTION = Example(id="e", messages=(Message(role="user", content="hi"),), answer="ok")


def chatml(template: str = CHATML) -> Any:
    return by_character(*CHATML_MARKS, end="<|im_end|>", template=template)


def llama(template: str) -> Any:
    return by_character(*LLAMA_MARKS, end="<|eot_id|>", begin="<|begin_of_text|>", template=template)


def learned(tokenizer: Any, example: Example, learn: Learn = Learn.all) -> list[str]:
    """The learned runs, as text."""
    return [text for text, is_learned in pieces(tokenizer, tokenize(tokenizer, example, learn)) if is_learned]


def test_loss_is_taken_on_the_answer_and_its_end() -> None:
    tokenizer = chatml()

    tokens = tokenize(tokenizer, QUESTION)

    shown = tokenizer.convert_ids_to_tokens(tokens.ids.tolist())
    assert shown == [
        *("<|im_start|>", "u", "s", "e", "r", "\n", "h", "i", "<|im_end|>", "\n"),
        *("<|im_start|>", "a", "s", "s", "i", "s", "t", "a", "n", "t", "\n"),
        *("o", "k", "<|im_end|>", "\n"),
    ]
    assert tokens.n_prompt == 21
    assert tokens.learned.tolist() == [False] * 21 + [True] * 4
    assert tokens.labels == [-100] * 21 + tokens.ids[-4:].tolist()


def test_every_turn_of_the_assistant_is_learned_in_chatml() -> None:
    tokenizer = chatml(SMOLLM2)

    tokens = tokenize(tokenizer, CHAT)

    shown = tokenizer.convert_ids_to_tokens(tokens.ids.tolist())
    assert shown == [
        *("<|im_start|>", *"system\nS", "<|im_end|>", "\n"),  # 1 + 8 + 2 = 11
        *("<|im_start|>", *"user\na", "<|im_end|>", "\n"),  # 9, up to 20
        *("<|im_start|>", *"assistant\n", "b", "<|im_end|>", "\n"),  # 11, up to 31; then 3 learned, up to 34
        *("<|im_start|>", *"user\nc", "<|im_end|>", "\n"),  # 9, up to 43
        *("<|im_start|>", *"assistant\n", "d", "<|im_end|>", "\n"),  # 11, up to 54; then 3 learned
    ]
    assert np.flatnonzero(tokens.learned).tolist() == [31, 32, 33, 54, 55, 56]
    assert tokens.n_prompt == 54
    assert np.flatnonzero(tokenize(tokenizer, CHAT, Learn.last).learned).tolist() == [54, 55, 56]


@pytest.mark.parametrize("name", ["llama3", "llama3_training"])
def test_every_turn_is_learned_in_llama_3_with_markers_and_without(name: str) -> None:
    template = published(name)
    assert ("{%- generation %}" in template) == (name == "llama3_training")
    tokenizer = llama(template)

    tokens = tokenize(tokenizer, CHAT)

    shown = tokenizer.convert_ids_to_tokens(tokens.ids.tolist())
    start, close, end = LLAMA_MARKS[1:]
    assert shown == [
        *("<|begin_of_text|>", start, *"system", close, "\n", "\n", "S", end),  # 13
        *(start, *"user", close, "\n", "\n", "a", end),  # 10, up to 23
        *(start, *"assistant", close, "\n", "\n", "b", end),  # 13, up to 36; then 2 learned, up to 38
        *(start, *"user", close, "\n", "\n", "c", end),  # 10, up to 48
        *(start, *"assistant", close, "\n", "\n", "d", end),  # 13, up to 61; then 2 learned
    ]
    assert np.flatnonzero(tokens.learned).tolist() == [36, 37, 61, 62]
    assert tokens.n_prompt == 61
    assert np.flatnonzero(tokenize(tokenizer, CHAT, Learn.last).learned).tolist() == [61, 62]


@pytest.mark.parametrize("name", ["qwen3_training", "llama3_training", "gemma3_training"])
def test_markers_give_the_mask_that_transformers_gives(name: str) -> None:
    marks = (*CHATML_MARKS, *LLAMA_MARKS, "<start_of_turn>", "<end_of_turn>")
    tokenizer = by_pieces(*marks, end="<|im_end|>", begin="<|begin_of_text|>", template=published(name))
    turns = [{"role": m.role, "content": m.content} for m in CHAT.messages] + [{"role": "assistant", "content": "d"}]

    ours = tokenize(tokenizer, CHAT)

    theirs = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    assert ours.ids.tolist() == theirs["input_ids"]
    assert ours.learned.tolist() == [bool(one) for one in theirs["assistant_masks"]]
    assert sum(theirs["assistant_masks"]) > 2


def test_the_authors_markers_decide_what_is_learned() -> None:
    tokenizer = chatml(
        CHATML.replace("{{ m.content }}<|im_end|>", "{% generation %}{{ m.content }}{% endgeneration %}!")
    )

    tokens = tokenize(tokenizer, QUESTION)

    assert pieces(tokenizer, tokens)[1] == ("hi", True)  # the author marked the user's turns too


def test_the_end_token_that_phi_3_puts_behind_a_chat_is_learned_once() -> None:
    marks = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>")
    tokenizer = by_character(*marks, end="<|endoftext|>", template=published("phi3"))

    assert learned(tokenizer, CHAT) == ["b<|end|>\n", "d<|end|>\n<|endoftext|>"]


def test_line_breaks_that_join_what_follows_are_left_out_of_an_earlier_turn() -> None:
    # The turn ends with one line break, the next begins with another: in the whole chat they are one token.
    template = (
        "{% for m in messages %}{{ '' if m.role == 'assistant' else '\n' }}{{ m.content }}"
        "{{ '<|im_end|>' if m.role == 'assistant' else '<|im_start|>' }}\n{% endfor %}"
    )
    tokenizer = by_pieces(*CHATML_MARKS, end="<|im_end|>", template=template)

    tokens = tokenize(tokenizer, CHAT)

    assert pieces(tokenizer, tokens) == [
        ("\nS<|im_start|>\n\na<|im_start|>\n", False),
        ("b<|im_end|>", True),
        ("\n\nc<|im_start|>\n", False),
        ("d<|im_end|>\n", True),
    ]


def test_a_template_that_drops_reasoning_can_teach_its_last_answer_alone() -> None:
    tokenizer = chatml(published("qwen3"))

    assert learned(tokenizer, QUESTION) == ["<think>\n\n</think>\n\nok<|im_end|>\n"]
    assert learned(tokenizer, CHAT, Learn.last) == ["<think>\n\n</think>\n\nd<|im_end|>\n"]
    with pytest.raises(DataError, match=r"example chat: .* earlier answer differently .* Set data.learn=last"):
        tokenize(tokenizer, CHAT)
    tokenizer.chat_template = published("qwen3_training")
    assert learned(tokenizer, CHAT) == [f"<think>\n\n</think>\n\n{said}<|im_end|>\n" for said in "bd"]


def test_a_template_that_rewrites_the_question_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be said which tokens are the answer's"):
        tokenize(chatml("{{ messages | length }}" + CHATML), QUESTION)


def test_an_answer_whose_beginning_melts_into_the_question_is_refused_by_name() -> None:
    tokenizer = by_pieces(*CHATML_MARKS, end="<|im_end|>", template=CHATML)
    starts_with_a_break = Example(id="rows.jsonl/3", messages=QUESTION.messages, answer="\nok")

    with pytest.raises(
        DataError, match=r"example rows.jsonl/3: an answer begins with '\\nok<\|im_en', .*white space off"
    ):
        tokenize(tokenizer, starts_with_a_break)


def test_a_chat_that_begins_with_the_assistant_is_learned_from_its_last_answer_alone() -> None:
    tokenizer = chatml()
    example = Example(id="e", messages=(Message(role="assistant", content="hello"), *QUESTION.messages), answer="ok")

    assert learned(tokenizer, example, Learn.last) == ["ok<|im_end|>\n"]
    with pytest.raises(DataError, match=r"begins with the assistant's turn.*or set data.learn=last"):
        tokenize(tokenizer, example)


@pytest.mark.parametrize(
    ("template", "word"),
    [
        (CHATML.replace("{{ m.content }}", "{{ m.content }}{% generation %}{% endgeneration %}"), "no token"),
        ("{% generation %}" + CHATML + "{% endgeneration %}", "every token"),
    ],
)
def test_a_mask_of_nothing_or_everything_is_refused(template: str, word: str) -> None:
    with pytest.raises(DataError, match=rf"example e: {word} would be learned"):
        tokenize(chatml(template), QUESTION)


def test_what_a_template_forbids_is_told_in_its_own_words() -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"

    with pytest.raises(
        DataError, match=r"example chat: .*system, user, assistant, user, assistant: System role not sup"
    ):
        tokenize(chatml(template + CHATML), CHAT)


def test_a_template_cannot_reach_files_or_pythons_internals() -> None:
    for attempt in ("{% include '/etc/passwd' %}", "{{ ''.__class__.__mro__ }}", "{{ range(10**9) | list }}"):
        with pytest.raises(DataError, match="the chat template refuses a chat"):
            tokenize(chatml(CHATML + attempt), QUESTION)


def test_many_at_once_give_what_one_at_a_time_gives() -> None:
    tokenizer = by_pieces(*CHATML_MARKS, end="<|im_end|>", template=CHATML)
    examples = [
        Example(
            id=str(n), messages=(*CHAT.messages[: 1 + n % 2 * 2], Message(role="user", content="q" * n)), answer="a"
        )
        for n in range(1100)
    ]

    for learn in Learn:
        together = list(tokenize_all(tokenizer, examples, learn))
        assert len(together) == 1100
        for example, tokens in zip(examples[990:1010], together[990:1010], strict=True):  # across two batches
            alone = tokenize(tokenizer, example, learn)
            assert tokens.ids.tolist() == alone.ids.tolist()
            assert tokens.labels == alone.labels
            assert tokens.n_prompt == alone.n_prompt


said = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="<|>"), max_size=8)


@given(turns=st.lists(st.tuples(said, said), min_size=1, max_size=4), learn=st.sampled_from(Learn))
def test_learned_is_what_the_assistant_says_and_generation_starts_from_the_rest(
    turns: list[tuple[str, str]], learn: Learn
) -> None:
    tokenizer = SHARED
    messages = [Message(role=role, content=text) for pair in turns for role, text in zip(ROLES, pair, strict=True)]
    example = Example(id="e", messages=tuple(messages[:-1]), answer=messages[-1].content)

    tokens = tokenize(tokenizer, example, learn)

    answers = [answer for _, answer in turns]
    expected = answers if learn is Learn.all else answers[-1:]
    assert "".join(tokenizer.convert_ids_to_tokens(tokens.ids[tokens.learned].tolist())) == "".join(
        f"{answer}<|im_end|>\n" for answer in expected
    )
    asked = [{"role": message.role, "content": message.content} for message in messages[:-1]]
    started = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert tokens.ids[: tokens.n_prompt].tolist() == list(started)


ROLES = ("user", "assistant")
SHARED = chatml()


def test_pieces_keep_spaces_and_show_special_tokens() -> None:
    tokenizer = copy.deepcopy(SHARED)
    example = Example(id="e", messages=(Message(role="user", content=" hi "),), answer=" o k ")

    assert pieces(tokenizer, tokenize(tokenizer, example)) == [
        ("<|im_start|>user\n hi <|im_end|>\n<|im_start|>assistant\n", False),
        (" o k <|im_end|>\n", True),
    ]


@pytest.mark.real
def test_the_real_smollm2_writes_and_masks_chats_as_worked_by_hand() -> None:
    from transformers import AutoTokenizer

    from tune.model.assets import embedded_folder

    folder = embedded_folder("smollm2_135m", texts=(), announce=print)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    tokens = tokenize(tokenizer, CHAT)

    assert tokenizer.chat_template == SMOLLM2
    # 1 <|im_start|>, 2 <|im_end|>, 198 line break; 9690 system, 4093 user, 520 9531 assistant; 67 S, 81 to 84 a to d
    assert tokens.ids.tolist() == [
        *(1, 9690, 198, 67, 2, 198),
        *(1, 4093, 198, 81, 2, 198),
        *(1, 520, 9531, 198, 82, 2, 198),
        *(1, 4093, 198, 83, 2, 198),
        *(1, 520, 9531, 198, 84, 2, 198),
    ]
    assert np.flatnonzero(tokens.learned).tolist() == [16, 17, 18, 29, 30, 31]
