"""Rows in every layout: the same chats are the same examples, and what is no chat is told with its line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.reading_files import PAIRS, as_csv, as_parquet, chat, content, lines, read
from tune.config.data import Layout
from tune.data.chat import divided
from tune.data.layouts import NAMES, NEEDED, detected
from tune.data.rows import BadRow
from tune.errors import DataError
from tune.examples import Message

CHATML = [{"messages": chat(("user", q), ("assistant", a))} for q, a in PAIRS]
ALPACA = [{"instruction": q, "input": "", "output": a} for q, a in PAIRS]
SHAREGPT = [{"conversations": chat(("human", q), ("gpt", a), role="from", content="value")} for q, a in PAIRS]
COMPLETION = [{"prompt": q, "completion": a} for q, a in PAIRS]
COMPLETION_LISTS = [{"prompt": chat(("user", q)), "completion": chat(("assistant", a))} for q, a in PAIRS]
QUESTIONS = [{"question": q, "answer": a} for q, a in PAIRS]


@pytest.mark.parametrize(
    ("rows", "layout"),
    [
        (CHATML, "ChatML"),
        (ALPACA, "Alpaca"),
        (SHAREGPT, "ShareGPT"),
        (COMPLETION, "prompt/completion"),
        (COMPLETION_LISTS, "prompt/completion"),
        (QUESTIONS, "question/answer"),
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_the_same_chats_are_the_same_examples_in_every_layout_and_kind(
    tmp_path: Path, rows: list[dict], layout: str, kind: str
) -> None:
    file = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        as_parquet(file, rows)
    else:
        lines(file, rows) if kind == "jsonl" else file.write_text(json.dumps(rows, indent=1))

    source = read(file)

    assert content(source.rows) == [([("user", q)], a) for q, a in PAIRS]
    assert source.layout.startswith(f"{layout}, 4 rows of 1 ")
    assert source.test is None
    assert len({row.id for row in source.rows}) == 4


@pytest.mark.parametrize(("name", "delimiter"), [("rows.csv", ","), ("rows.TSV", "\t")])
@pytest.mark.parametrize("rows", [ALPACA, COMPLETION, QUESTIONS])
def test_tables_of_text_hold_the_same_examples(tmp_path: Path, name: str, delimiter: str, rows: list[dict]) -> None:
    source = read(as_csv(tmp_path / name, rows, delimiter=delimiter))

    assert content(source.rows) == [([("user", q)], a) for q, a in PAIRS]


def with_system(tmp_path: Path) -> dict[str, tuple[Path, dict[str, str]]]:
    system, question, answer = "Be brief.", "Why?", "Because."
    turns = (("system", system), ("user", question), ("assistant", answer))
    sharegpt = (("system", system), ("human", question), ("gpt", answer))
    table = [{"s": system, "q": question, "a": answer}]
    named = {"system": "s", "question": "q", "answer": "a"}
    prompt = [{"prompt": chat(*turns[:2]), "completion": answer}]
    said = [{"conversations": chat(*sharegpt, role="from", content="value")}]
    return {
        "messages": (lines(tmp_path / "m.jsonl", [{"messages": chat(*turns)}]), {}),
        "sharegpt": (lines(tmp_path / "s.ndjson", said), {}),
        "prompt": (lines(tmp_path / "p.json", prompt), {}),
        "csv": (as_csv(tmp_path / "t.csv", table), named),
        "parquet": (as_parquet(tmp_path / "t.parquet", table), named),
    }


@pytest.mark.parametrize("which", ["messages", "sharegpt", "prompt", "csv", "parquet"])
def test_a_system_message_is_kept_from_every_layout_that_has_one(tmp_path: Path, which: str) -> None:
    file, columns = with_system(tmp_path)[which]

    source = read(file, **columns)

    assert content(source.rows) == [([("system", "Be brief."), ("user", "Why?")], "Because.")]


def test_alpaca_puts_the_input_under_the_instruction(tmp_path: Path) -> None:
    rows = [{"instruction": "Add", "input": "1, 2", "output": "3"}, {"instruction": "Hi", "input": None, "output": ""}]

    source = read(lines(tmp_path / "a.jsonl", [*rows, {"instruction": "Bye", "output": "x"}]))

    assert [row.messages[-1].content for row in source.rows] == ["Add\n\n1, 2", "Hi", "Bye"]


def test_all_turns_before_the_last_answer_are_the_question(tmp_path: Path) -> None:
    turns = chat(("system", " "), ("user", "1"), ("assistant", "2"), ("user", "3"), ("user", "4"), ("assistant", "5"))

    source = read(lines(tmp_path / "m.jsonl", [{"messages": turns}]))

    # the empty system message is gone; two turns of the user in a row are left to the template
    assert content(source.rows) == [([("user", "1"), ("assistant", "2"), ("user", "3"), ("user", "4")], "5")]


@pytest.mark.parametrize("speaker", ["gpt", "chatgpt", "bing", "bard", "assistant"])
def test_sharegpt_knows_who_answered(tmp_path: Path, speaker: str) -> None:
    turns = chat(("user", "q"), (speaker, "a"), role="from", content="value")

    assert content(read(lines(tmp_path / "s.jsonl", [{"conversations": turns}])).rows) == [([("user", "q")], "a")]


def test_a_conversation_with_role_and_content_is_read_too(tmp_path: Path) -> None:
    row = {"conversations": chat(("human", "q"), ("assistant", "a"))}

    assert content(read(lines(tmp_path / "s.jsonl", [row])).rows) == [([("user", "q")], "a")]


def test_an_empty_or_null_answer_is_left_to_cleaning(tmp_path: Path) -> None:
    source = read(lines(tmp_path / "q.jsonl", [{"question": "a", "answer": ""}, {"question": "b", "answer": None}]))
    turns = [{"role": "user", "content": "c"}, {"role": "assistant", "content": None}]
    chats = read(lines(tmp_path / "m.jsonl", [{"messages": turns}]))

    assert [row.answer for row in (*source.rows, *chats.rows)] == ["", "", ""]


def test_the_layout_can_be_forced(tmp_path: Path) -> None:
    row = {"messages": [], "prompt": "q", "completion": "a"}
    file = lines(tmp_path / "both.jsonl", [row])

    with pytest.raises(
        DataError, match=r"line 1 has the keys of several layouts: ChatML, prompt/completion.*data\.lay"
    ):
        read(file)
    forced = read(file, layout=Layout.prompt_completion)

    assert content(forced.rows) == [([("user", "q")], "a")]
    assert forced.layout == "prompt/completion, 1 row of 1 JSON lines file; 1 key not read: messages"


def test_keys_that_nothing_is_made_of_are_named(tmp_path: Path) -> None:
    turn = {"role": "assistant", "content": "a", "weight": 0}
    row = {"id": 7, "messages": [{"role": "user", "content": "q"}, turn], "topic": "x", "source": "web"}

    source = read(lines(tmp_path / "m.jsonl", [row]), label="topic")

    assert source.layout.endswith("; 3 keys not read: id, messages.weight, source")


def test_label_and_group_are_kept_as_text(tmp_path: Path) -> None:
    rows = [
        {"question": "q", "answer": "a", "class": kind, "who": who}
        for kind, who in [("x", 1), (2, "b"), (2.5, True), (False, 10**20)]
    ]

    source = read(lines(tmp_path / "q.jsonl", rows), label="class", group="who")

    assert [row.label for row in source.rows] == ["x", "2", "2.5", "false"]
    assert [row.group for row in source.rows] == ["1", "b", "true", "100000000000000000000"]


@pytest.mark.parametrize("value", [None, "", " "])
def test_a_row_without_a_label_is_told(tmp_path: Path, value: str | None) -> None:
    rows = [{"question": "q", "answer": "a", "class": kind} for kind in ("x", value)]

    with pytest.raises(DataError, match=r"line 2 holds nothing in `class` \(data\.columns\.label\).*remove the row"):
        read(lines(tmp_path / "q.jsonl", rows), label="class")


def test_a_column_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    file = as_csv(tmp_path / "t.csv", [{"text": "q", "category": "a"}])

    with pytest.raises(
        DataError, match=r"line 2 has no column `categry`, which data\.columns\.answer.*mean category\?"
    ):
        read(file, question="text", answer="categry")
    with pytest.raises(DataError, match=r"no column `group`, which data\.columns\.group names\. There is: category, t"):
        read(file, question="text", answer="category", group="group")


def test_a_label_that_is_no_scalar_is_told(tmp_path: Path) -> None:
    row = {"question": "q", "answer": "a", "class": ["x"]}

    with pytest.raises(DataError, match="line 1 holds a list in `class`"):
        read(lines(tmp_path / "q.jsonl", [row]), label="class")


@pytest.mark.parametrize(
    ("layout", "columns", "words"),
    [
        (Layout.auto, {"question": "q"}, "data.columns.question is set, but data.columns.answer is not"),
        (Layout.auto, {"system": "s"}, "data.columns.system is set, but data.columns.question is not"),
        (Layout.columns, {}, "data.layout=columns, but data.columns.question is not"),
        (Layout.alpaca, {"answer": "a"}, "data.columns.answer is set, which only rows of named columns use"),
    ],
)
def test_columns_named_by_half_or_for_another_layout_are_told(
    tmp_path: Path, layout: Layout, columns: dict[str, str], words: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(lines(tmp_path / "q.jsonl", ALPACA), layout=layout, **columns)

    assert words in str(caught.value)


def test_two_layouts_in_one_file_are_told_with_the_first_two_lines_that_disagree(tmp_path: Path) -> None:
    file = lines(tmp_path / "mix.jsonl", ["", *ALPACA[:2], CHATML[0], QUESTIONS[0]])

    with pytest.raises(DataError) as caught:
        read(file)

    assert str(caught.value) == (
        f"{file} line 4 has the keys messages (ChatML), but line 2 has instruction, input, output (Alpaca), and a file "
        "has one layout. Divide it into two files, or give all rows the same keys."
    )


def test_a_row_of_no_layout_among_others_disagrees_with_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2 has the keys of an empty object, but line 1 has messages \(ChatML\)"):
        read(lines(tmp_path / "mix.jsonl", [CHATML[0], {}]))


def test_a_row_that_does_not_fit_the_forced_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2 has no `instruction`, which Alpaca rows have\. There is: messages\."):
        read(lines(tmp_path / "mix.jsonl", [ALPACA[0], CHATML[0]]), layout=Layout.alpaca)


def of(*turns: tuple[str, str]) -> dict:
    return {"messages": chat(*turns)}


USER, SAID = ("user", "q"), ("assistant", "a")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "x"}, "has the keys text, which are no known layout (ChatML: messages; Alpaca: instruction, output;"),
        ({}, "has the keys of no column, which are no known layout"),
        (of(), "has no answer: the last turn must be the assistant's"),
        (of(USER), "has no answer: the last turn must be the assistant's"),
        (of(SAID), "has an answer without a question: no turn is before it"),
        (of(("system", "s"), SAID), "without a question: the turn before it is the system's, it must be the user's"),
        (of(USER, SAID, USER), "ends with the user's turn, which has no answer. Add the assistant's, or remove"),
        (of(USER, SAID, ("system", " "), SAID), "has two assistant turns in a row (turns 2 and 3)"),
        (of(USER, SAID, SAID, USER, SAID), "has two assistant turns in a row (turns 2 and 3)"),
        (of(("User", "q"), SAID), "role 'User', which is unknown: it must be one of system, user, assistant."),
        (of(("tool", "q"), SAID), "role 'tool': calls of tools are not trained on"),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": [1]}]}, "has a turn with `tool_calls`"),
        ({"messages": "hello"}, "holds a text in `messages`: it must be a list of objects"),
        ({"messages": ["hello"]}, "holds a text as turn 1 of `messages`"),
        ({"messages": [{"content": "x"}]}, "without `role`; its keys are content"),
        ({"messages": [{"role": 5, "content": "x"}]}, "role 5, which is unknown"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "turn of user that holds a list in `content`",
        ),
        ({"messages": [{"role": "user"}]}, "turn of user that holds nothing in `content`"),
        ({"messages": [{"role": "user", "content": None}]}, "turn of user that holds null in `content`"),
        ({"conversations": [{"from": "human", "text": "x"}]}, "turn of user that holds nothing in `value`"),
        ({"conversations": [{"from": "observation", "value": "x"}]}, "from 'observation': calls of tools"),
        ({"conversations": [{"from": "alice", "value": "x"}]}, "from 'alice', which is unknown: it must be one of sys"),
        ({"instruction": 5, "output": "x"}, "holds a number in `instruction`: it must be a text"),
        ({"instruction": "q", "input": {}, "output": "x"}, "holds an object in `input`"),
        ({"prompt": None, "completion": "x"}, "holds null in `prompt`"),
        ({"prompt": "q", "completion": []}, "has no answer"),
        ({"question": "q", "answer": True}, "holds a boolean in `answer`: it must be a text"),
    ],
)
def test_a_row_that_is_no_chat_is_told_with_file_line_and_a_way_out(tmp_path: Path, row: dict, words: str) -> None:
    file = lines(tmp_path / "rows.jsonl", [row])

    with pytest.raises(DataError) as caught:
        read(file)

    said = str(caught.value)
    assert said.startswith(f"{file} line 1 ")
    assert words in said
    assert "\n" not in said
    assert said.rsplit(". ", 1)[-1].split(maxsplit=1)[0] in {"Mend", "Complete", "Add", "Join", "Rename", "Remove"}


def test_a_row_longer_than_a_mebibyte_is_told_in_every_kind_of_file(tmp_path: Path) -> None:
    file = as_parquet(tmp_path / "t.parquet", [{"question": "q", "answer": "x" * (2**20)}])

    with pytest.raises(DataError, match=r"row 1 holds 1,048,577 characters; a row may have at most 1,048,576"):
        read(file)


def test_a_complaint_stays_a_paragraph_whatever_the_row_holds(tmp_path: Path) -> None:
    wild = lines(tmp_path / "wild.jsonl", [{f"key\n{n}" * 100: n for n in range(99)}])
    role = lines(tmp_path / "role.jsonl", [{"messages": [{"role": "x\n" * 9999, "content": ""}]}])

    for file in (wild, role):
        with pytest.raises(DataError) as caught:
            read(file)

        said = str(caught.value).removeprefix(str(file))
        assert len(said) < 900
        assert "\n" not in said
    with pytest.raises(DataError, match=r"key\\n0key\\n.*…, .* and 87 more, which are no known layout"):
        read(wild)


TURN = st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=3))


@given(st.lists(TURN, max_size=7))
def test_a_list_of_turns_is_divided_whole_or_refused(turns: list[tuple[str, str]]) -> None:
    messages = [Message(role=role, content=said) for role, said in turns]
    kept = [turn for turn in messages if turn.role != "system" or turn.content.strip()]
    roles = "".join(turn.role[0] for turn in kept)

    try:
        before, answer = divided(messages)
    except BadRow:
        assert not roles.endswith("ua") or "aa" in roles
    else:
        assert roles.endswith("ua")
        assert "aa" not in roles
        assert [*before, Message(role="assistant", content=answer)] == kept


@pytest.mark.parametrize("layout", list(NEEDED))
@given(extra=st.sets(st.sampled_from(["id", "input", "system", "text", "source"])))
def test_a_layout_is_seen_whatever_other_keys_there_are(layout: Layout, extra: set[str]) -> None:
    detect: Callable[[dict], Layout] = detected

    assert detect(dict.fromkeys((*extra, *NEEDED[layout]), "")) is layout
    assert layout in NAMES
