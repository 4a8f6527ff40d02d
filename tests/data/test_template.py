"""Which chat template is taken, and what is refused before anything is learned from it."""

from pathlib import Path
from typing import Any

import pytest

from tests.data.chat_tokenizers import CHAT, CHATML, CHATML_MARKS, LLAMA_MARKS, by_character, published
from tune.config.data import Learn
from tune.data.mask import pieces, tokenize
from tune.data.template import BUILT_IN, apply_template, fitting
from tune.data.template_check import check_template, end_ids
from tune.errors import DataError
from tune.examples import Example, Message

GEMMA_MARKS = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")


def chatml(template: str | None = None) -> Any:
    return by_character(*CHATML_MARKS, end="<|im_end|>", template=template)


def llama(template: str | None = None, end: str = "<|eot_id|>") -> Any:
    marks = (*LLAMA_MARKS, "<|end_of_text|>")
    return by_character(*marks, end=end, begin="<|begin_of_text|>", template=template)


def text(tokenizer: Any) -> str:
    return "".join(tokenizer.convert_ids_to_tokens(tokenize(tokenizer, CHAT).ids.tolist()))


def learned(tokenizer: Any) -> list[str]:
    return [run for run, is_learned in pieces(tokenizer, tokenize(tokenizer, CHAT)) if is_learned]


BEGIN, HEAD, CLOSE, END = LLAMA_MARKS
WRITTEN = {
    "chatml": (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nd<|im_end|>\n"
    ),
    "alpaca": (
        "S\n\n### Instruction:\na\n\n### Response:\nb<|im_end|>\n\n### Instruction:\nc\n\n### Response:\nd<|im_end|>"
    ),
    "plain": "S\na\nb<|im_end|>\nc\nd<|im_end|>",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_built_in_templates_write_what_they_are_known_for(name: str) -> None:
    tokenizer = chatml()

    apply_template(tokenizer, name)

    check_template(tokenizer, [CHAT])
    assert text(tokenizer) == WRITTEN[name]
    assert learned(tokenizer) == (
        ["b<|im_end|>\n", "d<|im_end|>\n"] if name == "chatml" else ["b<|im_end|>", "d<|im_end|>"]
    )


def test_the_built_in_llama_3_template_writes_what_metas_writes() -> None:
    ours, theirs = llama(), llama(published("llama3"))

    apply_template(ours, "llama3")

    check_template(ours, [CHAT])
    assert text(ours) == text(theirs)
    assert text(ours).startswith(f"{BEGIN}{HEAD}system{CLOSE}\n\nS{END}")


def test_every_built_in_template_is_tried_above() -> None:
    assert {*WRITTEN, "llama3"} == set(BUILT_IN)


def test_bos_is_written_where_the_tokenizer_writes_it_and_nowhere_else() -> None:
    with_bos = by_character("<s>", "</s>", end="</s>", begin="<s>")
    without = by_character("<s>", "</s>", end="</s>")

    for tokenizer, beginning in ((with_bos, "<s>S\n"), (without, "S\n")):
        apply_template(tokenizer, "plain")
        check_template(tokenizer, [CHAT])
        assert text(tokenizer).startswith(beginning)


def test_null_is_the_models_own_template_and_the_default_of_several() -> None:
    tokenizer = chatml()
    tokenizer.chat_template = {"default": CHATML, "tools": "other"}

    apply_template(tokenizer, None)

    assert tokenizer.chat_template == CHATML


def test_a_base_without_a_template_asks_for_a_choice() -> None:
    with pytest.raises(
        DataError, match=r"no chat template of its own. Choose data.template=chatml, data.template=alpaca"
    ):
        apply_template(chatml(), None)


def test_several_templates_without_a_default_ask_for_a_choice() -> None:
    tokenizer = chatml()
    tokenizer.chat_template = {"rag": CHATML, "tools": CHATML}

    with pytest.raises(DataError, match=r"several chat templates \(rag, tools\) and none is its default. Choose"):
        apply_template(tokenizer, None)


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(DataError, match=r"data.template=chat_ml .* Did you mean chatml\? A file of your own ends with"):
        apply_template(chatml(), "chat_ml")


def test_a_file_is_a_template(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(CHATML.replace("assistant", "bot"), encoding="utf-8")
    tokenizer = chatml()

    apply_template(tokenizer, str(file))

    assert tokenizer.chat_template == CHATML.replace("assistant", "bot")


def test_a_file_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    latin = tmp_path / "latin.jinja"
    latin.write_bytes("question: é".encode("latin-1"))
    broken = tmp_path / "broken.jinja"
    broken.write_text("{% for m in messages %}\n{{ m.content }\n{% endfor %}", encoding="utf-8")
    endless = tmp_path / "imports.jinja"
    endless.write_text("{% include '/etc/hostname' %}", encoding="utf-8")

    for name, words in {
        f"{tmp_path}/none.jinja": r"none.jinja cannot be read: No such file or directory. Name a readable file, or",
        f"{tmp_path}": r"cannot be read: Is a directory",
        str(latin): r"latin.jinja is not UTF-8 from byte 10 on. Save the template as UTF-8.",
        str(broken): r"broken.jinja line 2 has a syntax error: unexpected '}'. Mend the template.",
        str(endless): r"imports.jinja cannot write a question and its answer: no loader for this environment",
    }.items():
        with pytest.raises(DataError, match=words):
            apply_template(chatml(), name)


def test_a_template_of_another_family_is_refused_with_its_marks_and_what_fits() -> None:
    with pytest.raises(
        DataError,
        match=r"data.template=llama3 is .* another model family: it writes <\|start_header_id\|>, <\|end_header_id\|> "
        r"and <\|eot_id\|>, which are no tokens .* Choose data.template=null \(the model's own\), data.template=chatml",
    ):
        apply_template(chatml(CHATML), "llama3")
    assert fitting(llama()) == ["llama3", "alpaca", "plain"]


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("[INST] {{ m.content }} [/INST]", r"\[INST\] and \[/INST\]"),
        ("<<SYS>>{{ m.content }}<|im_end|>", r"<<SYS>>, which is no token"),
        ("<start_of_turn>{{ m.content }}<|im_end|>", r"<start_of_turn>"),
        ("<\uff5cUser\uff5c>{{ m.content }}<|im_end|>", "<\uff5cUser\uff5c>"),
        ("<|turn>{{ m.content }}<turn|>", r"<\|turn> and <turn\|>"),
    ],
)
def test_the_marks_of_other_families_are_known(written: str, named: str, tmp_path: Path) -> None:
    file = tmp_path / "other.jinja"
    file.write_text("{% for m in messages %}" + written + "{% endfor %}", encoding="utf-8")

    with pytest.raises(DataError, match=f"another model family: it writes {named}"):
        apply_template(chatml(CHATML), str(file))


def test_marks_that_the_models_own_template_writes_as_text_are_its_own(tmp_path: Path) -> None:
    zephyr = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    zephyr += "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    tokenizer = by_character("<s>", "</s>", end="</s>", template=zephyr + "{# <|user|> #}")
    file = tmp_path / "zephyr.jinja"
    file.write_text(zephyr, encoding="utf-8")

    apply_template(tokenizer, str(file))

    check_template(tokenizer, [CHAT])
    assert learned(tokenizer) == ["b</s>\n", "d</s>\n"]


def test_the_models_own_template_of_another_family_never_ends_an_answer() -> None:
    tokenizer = chatml(published("llama3_1"))

    with pytest.raises(DataError, match=r"the chat template is a template of another model family: .*<\|eot_id\|>"):
        check_template(tokenizer, [])


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        ("", r"does not begin with <\|begin_of_text\|>.* Begin the template with \{\{ bos_token \}\}"),
        ("{{ bos_token }}{{ bos_token }}", r"begins with <\|begin_of_text\|> twice"),
        ("{{ bos_token }}{{ messages[0].content }}{{ bos_token }}", r"writes <\|begin_of_text\|> 2 times"),
    ],
)
def test_exactly_one_bos(beginning: str, words: str) -> None:
    tokenizer = llama(beginning + published("llama3").replace("bos_token + content", "content"))

    with pytest.raises(DataError, match=words):
        check_template(tokenizer, [CHAT])


def test_a_row_that_writes_bos_again_is_named() -> None:
    tokenizer = llama("{{ bos_token }}{% for m in messages %}{{ m.content }}<|eot_id|>{% endfor %}")
    row = Example(id="rows.jsonl/7", messages=(Message(role="user", content="<|begin_of_text|>a"),), answer="b")

    with pytest.raises(DataError, match=r"example rows.jsonl/7 begins with <\|begin_of_text\|> twice"):
        check_template(tokenizer, [row])


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (CHATML.replace("<|im_end|>", ""), r"does not end with <\|im_end\|> or another special token"),
        (CHATML.replace("<|im_end|>\n", "<|im_end|>."), r"does not end with <\|im_end\|>"),
        (
            CHATML.replace("{{ m.content }}", "{% generation %}{{ m.content }}{% endgeneration %}"),
            r"ends with <\|im_end\|>, which is not learned, .* Put \{% endgeneration %\} behind it",
        ),
    ],
)
def test_every_answer_ends_with_a_learned_end_token(template: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_template(chatml(template), [])


def test_an_end_behind_the_whole_chat_alone_is_not_enough_for_earlier_answers() -> None:
    template = CHATML.replace("<|im_end|>", "") + "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}"
    tokenizer = chatml(template)

    check_template(tokenizer, [Example(id="e", messages=CHAT.messages[1:2], answer="d")])
    check_template(tokenizer, [CHAT], Learn.last)

    with pytest.raises(DataError, match=r"example chat: an answer does not end with .* or set data.learn=last if"):
        check_template(tokenizer, [CHAT])


def test_a_kind_of_chat_that_comes_late_in_the_data_is_checked_too() -> None:
    template = CHATML.replace("<|im_end|>", "") + "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}"
    short = Example(id="e", messages=CHAT.messages[1:2], answer="d")

    with pytest.raises(DataError, match=r"two questions and their answers\): an answer does not end with"):
        check_template(chatml(template), [*[short] * 20, CHAT])


def test_what_a_template_forbids_is_refused_only_where_a_row_has_it() -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role here') }}{% endif %}" + CHATML
    tokenizer = chatml(strict)
    apply_template(tokenizer, None)

    check_template(tokenizer, [Example(id="e", messages=CHAT.messages[1:], answer="d")])

    with pytest.raises(
        DataError, match=r"example chat: .* no system role here. Mend or remove the row, take data.system"
    ):
        check_template(tokenizer, [CHAT])


def test_reasoning_templates_are_refused_only_where_an_earlier_turn_would_be_learned() -> None:
    tokenizer = chatml(published("qwen3"))

    check_template(tokenizer, [Example(id="e", messages=CHAT.messages[:2], answer="d")])
    check_template(tokenizer, [CHAT], Learn.last)

    with pytest.raises(DataError, match=r"example chat: .* Set data.learn=last"):
        check_template(tokenizer, [CHAT])


@pytest.mark.parametrize(
    ("tokenizer", "ends"),
    [
        (chatml(CHATML), {"<|im_end|>"}),
        (by_character(*CHATML_MARKS, "<|endoftext|>", end="<|endoftext|>", template=CHATML), {"<|im_end|>"}),
        (llama(published("llama3_1"), end="<|end_of_text|>"), {"<|eot_id|>"}),
        (by_character(*GEMMA_MARKS, end="<eos>", begin="<bos>", template=published("gemma3")), {"<end_of_turn>"}),
        (
            by_character("<|user|>", "<|assistant|>", "<|end|>", "<|x|>", end="<|x|>", template=published("phi3")),
            {"<|end|>"},
        ),
    ],
)
def test_generation_stops_at_the_end_token_and_at_what_the_template_ends_answers_with(
    tokenizer: Any, ends: set[str]
) -> None:
    check_template(tokenizer, [Example(id="e", messages=(Message(role="user", content="a"),), answer="b")])

    assert set(tokenizer.convert_ids_to_tokens(end_ids(tokenizer))) == ends | {tokenizer.eos_token}
