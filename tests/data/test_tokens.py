"""What training reads: ids and labels on disk, made once for each data set, tokenizer, template and limit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.chat_tokenizers import CHATML, CHATML_MARKS, by_character
from tune.config.data import DataConfig, Learn
from tune.data.account import Account
from tune.data.listener import Silent
from tune.data.splits import Splits, make_splits
from tune.data.template import apply_template, template_digest
from tune.data.tokens import TokenTable, training_tokens
from tune.errors import DataError
from tune.examples import Example, Message


def row(question: str, answer: str, *before: tuple[str, str]) -> Example:
    turns = [
        Message(role=role, content=said)
        for pair in before
        for role, said in zip(("user", "assistant"), pair, strict=True)
    ]
    return Example(id=question, messages=(*turns, Message(role="user", content=question)), answer=answer)


def splits(*rows: Example) -> Splits:
    account = Account(source="", n_read=len(rows), taken=(), held={})
    return make_splits({"train": rows, "validation": rows[:1], "test": ()}, account)


def tokens(
    made: Splits,
    *,
    max_length: int = 200,
    learn: Learn = Learn.all,
    name: str = "tokenizer",
    template: str | None = None,
) -> TokenTable:
    return training_tokens(
        made,
        DataConfig(learn=learn, template=template),
        max_length=max_length,
        tokenizer_digest=name,
        tokenizer=lambda: by_character(*CHATML_MARKS, end="<|im_end|>", template=CHATML),
        listener=Silent(),
    )


# <|im_start|>user\n is 6 tokens, hi 2, <|im_end|>\n 2, <|im_start|>assistant\n 11, ok 2, <|im_end|>\n 2
SHORT = row("hi", "ok")
LONG = row("h" * 50, "ok")


def test_a_row_by_hand() -> None:
    table = tokens(splits(SHORT))

    (only,) = table.dataset()
    assert len(only["input_ids"]) == 25
    assert only["labels"][:21] == [-100] * 21
    assert only["labels"][21:] == only["input_ids"][21:]
    assert (table.n_rows, table.n_tokens, table.n_learned) == (1, 25, 4)
    assert table.preview == (
        (("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", False), ("ok<|im_end|>\n", True)),
    )


def test_a_row_that_is_too_long_is_left_out_and_counted() -> None:
    table = tokens(splits(SHORT, LONG), max_length=72)

    assert table.lengths.tolist() == [25, 73]
    assert (table.n_left_out, table.n_rows, table.n_tokens) == (1, 1, 25)
    assert len(table.dataset()) == 1
    assert tokens(splits(SHORT, LONG), max_length=73).n_left_out == 0


def test_where_every_row_is_too_long_the_shortest_is_named() -> None:
    with pytest.raises(DataError, match=r"longer than train\.max_length=24 tokens; the shortest has 25\. Raise it"):
        tokens(splits(SHORT, LONG), max_length=24)


def test_the_last_turn_alone_is_learned_where_that_is_asked_for() -> None:
    chat = splits(row("and", "yes", ("hi", "ok")))

    assert tokens(chat).n_learned == 4 + 5
    assert tokens(chat, learn=Learn.last).n_learned == 5


def test_the_second_time_no_tokenizer_is_loaded() -> None:
    first = tokens(splits(SHORT, LONG))

    def loaded() -> Any:
        raise AssertionError

    again = training_tokens(
        splits(SHORT, LONG),
        DataConfig(),
        max_length=200,
        tokenizer_digest="tokenizer",
        tokenizer=loaded,
        listener=Silent(),
    )

    assert again.dataset().to_dict() == first.dataset().to_dict()
    assert (again.preview, again.name, again.n_learned) == (first.preview, first.name, first.n_learned)
    assert np.array_equal(again.lengths, first.lengths)


def test_what_changes_the_tokens_changes_their_name() -> None:
    names = [
        tokens(splits(SHORT, LONG)).name,
        tokens(splits(LONG, SHORT)).name,
        tokens(splits(SHORT, LONG), max_length=100).name,
        tokens(splits(SHORT, LONG), learn=Learn.last).name,
        tokens(splits(SHORT, LONG), name="another").name,
    ]

    assert len(set(names)) == 5


def test_a_template_is_known_by_what_its_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, twin = tmp_path / "one.jinja", tmp_path / "two.jinja"
    file.write_text("a template")
    twin.write_text("a template")
    before, built_in = template_digest(str(file)), template_digest("chatml")
    file.write_text("another")
    (tmp_path / "chatml").write_text("no template: the name means the built-in one")

    assert template_digest(str(twin)) == before != template_digest(str(file))
    assert template_digest("chatml") == built_in
    assert template_digest(None) is None


@pytest.mark.parametrize("template", ["x" * 300 + ".jinja", "~nobody_of_this_name/x.jinja", "no/such.jinja"])
def test_a_template_that_cannot_be_read_is_told_by_what_reads_it(template: str) -> None:
    with pytest.raises(DataError, match=r"cannot be read: .* Name a readable file"):
        apply_template(by_character(*CHATML_MARKS, end="<|im_end|>", template=CHATML), template)

    assert template_digest(template) == template


def test_many_rows_keep_their_order() -> None:
    rows = [row(f"q{number:05}", "ok") for number in range(4_500)]  # more than two batches

    table = tokens(splits(*rows))

    zero = ord("0") - 10 + len(CHATML_MARKS)
    numbers = [int("".join(str(i - zero) for i in one["input_ids"][7:12])) for one in table.dataset()]
    assert numbers == list(range(4_500))
