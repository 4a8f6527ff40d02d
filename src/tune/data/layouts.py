"""What a row looks like: seen from its keys, and turned into the turns of a chat."""

from collections.abc import Callable, Mapping
from typing import Any

from tune.config.data import ColumnsConfig, Layout
from tune.data.chat import conversation_of, messages_of
from tune.data.programs import MBPP_KEYS, humaneval_turns, mbpp_turns
from tune.data.rows import BadRow, Values, list_of, type_of
from tune.errors import DataError, nearest
from tune.examples import Message

_MEND = "Mend or remove the row."

NAMES = {
    Layout.messages: "ChatML",
    Layout.alpaca: "Alpaca",
    Layout.sharegpt: "ShareGPT",
    Layout.prompt_completion: "prompt/completion",
    Layout.question_answer: "question/answer",
    Layout.humaneval: "HumanEval",
    Layout.mbpp: "MBPP",
    Layout.columns: "named columns",
}
"""What the field calls them."""

NEEDED = {
    Layout.messages: ("messages",),
    Layout.alpaca: ("instruction", "output"),
    Layout.sharegpt: ("conversations",),
    Layout.prompt_completion: ("prompt", "completion"),
    Layout.question_answer: ("question", "answer"),
    Layout.humaneval: ("prompt", "entry_point", "test", "canonical_solution"),
    Layout.mbpp: ("test_list", "code"),
}
"""The keys that tell a layout, and that every row of it has."""

_OPTIONAL = {Layout.alpaca: ("input",), Layout.mbpp: MBPP_KEYS}


def settled(layout: Layout, columns: ColumnsConfig) -> Layout:
    """Return the layout that the settings ask for: columns where they name them, auto where the rows must tell.

    Raises:
        DataError: One of question and answer is named without the other, or for another layout.
    """
    named = [name for name in ("question", "answer", "system") if getattr(columns, name) is not None]
    if layout not in {Layout.auto, Layout.columns}:
        if named:
            msg = (
                f"data.columns.{named[0]} is set, which only rows of named columns use, but data.layout={layout}. "
                "Leave one of them out."
            )
            raise DataError(msg)
        return layout
    if not named and layout is Layout.auto:
        return layout
    missing = [name for name in ("question", "answer") if getattr(columns, name) is None]
    if missing:
        because = f"data.columns.{named[0]} is set" if named else f"data.layout={layout}"
        msg = f"{because}, but data.columns.{missing[0]} is not. Name both the question's column and the answer's."
        raise DataError(msg)
    return Layout.columns


def detected(values: Values) -> Layout:
    """Return the layout that a row's keys tell.

    Raises:
        BadRow: They tell none, or several.
    """
    found = [layout for layout, keys in NEEDED.items() if all(key in values for key in keys)]
    if len(found) == 1:
        return found[0]
    if found:
        msg = (
            f"has the keys of several layouts: {', '.join(NAMES[layout] for layout in found)}. "
            f"Say which to take: data.layout={' or data.layout='.join(found)}."
        )
        raise BadRow(msg)
    known = "; ".join(f"{NAMES[layout]}: {', '.join(keys)}" for layout, keys in NEEDED.items())
    msg = (
        f"has the keys {list_of(values) or 'of no column'}, which are no known layout ({known}). Rename the keys, "
        "or name them with data.columns.question and data.columns.answer."
    )
    raise BadRow(msg)


def keys_read(layout: Layout) -> set[str]:
    """Return the keys that a layout has of its own."""
    return {*NEEDED.get(layout, ()), *_OPTIONAL.get(layout, ())}


def turns_of(values: Values, layout: Layout, columns: ColumnsConfig) -> list[Message]:
    """Return the turns of a row.

    Raises:
        BadRow: The row lacks a key of the layout, or holds something else than the layout has there.
    """
    if layout is Layout.columns:
        return _columns(values, columns)
    for key in NEEDED[layout]:
        if key not in values:
            msg = f"has no `{key}`, which {NAMES[layout]} rows have. {_there_is(key, values)} {_MEND}"
            raise BadRow(msg)
    return _TURNS[layout](values)


def named_value(values: Values, setting: str, column: str) -> str:
    """Return what a row holds in a column of classes or groups, as text; numbers and true or false as JSON has them.

    Raises:
        BadRow: The column is not there, or holds nothing, or a list or an object.
    """
    if column not in values:
        raise BadRow(_no_column(values, setting, column))
    value = values[column]
    if isinstance(value, (dict, list, bytes)):
        msg = f"holds {type_of(value)} in `{column}` ({setting}): it must be a text or a number. {_MEND}"
        raise BadRow(msg)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    # A missing number of a table is NaN, the one value that differs from itself.
    if value is None or value != value or not text.strip():  # noqa: PLR0124
        msg = f"holds nothing in `{column}` ({setting}): every row needs a value there. Complete or remove the row."
        raise BadRow(msg)
    return text


def _alpaca(values: Values) -> list[Message]:
    asked, more = _text(values, "instruction"), values.get("input")
    if more is not None and _text(values, "input"):
        asked = f"{asked}\n\n{more}"
    return _pair(asked, _answer(values, "output"))


def _prompt_completion(values: Values) -> list[Message]:
    prompt, completion = values["prompt"], values["completion"]
    asked = (
        messages_of(prompt, key="prompt")
        if isinstance(prompt, list)
        else [Message(role="user", content=_text(values, "prompt"))]
    )
    said = (
        messages_of(completion, key="completion")
        if isinstance(completion, list)
        else [Message(role="assistant", content=_answer(values, "completion"))]
    )
    return asked + said


def _columns(values: Values, columns: ColumnsConfig) -> list[Message]:
    assert columns.question is not None
    assert columns.answer is not None  # settled() has asked for both
    for name in ("question", "answer", "system"):
        column = getattr(columns, name)
        if column is not None and column not in values:
            raise BadRow(_no_column(values, f"data.columns.{name}", column))
    turns = _pair(_text(values, columns.question), _answer(values, columns.answer))
    if columns.system is None or values[columns.system] is None:
        return turns
    return [Message(role="system", content=_text(values, columns.system)), *turns]


_TURNS: Mapping[Layout, Callable[[Values], list[Message]]] = {
    Layout.messages: lambda values: messages_of(values["messages"], key="messages"),
    Layout.alpaca: _alpaca,
    Layout.sharegpt: lambda values: conversation_of(values["conversations"], key="conversations"),
    Layout.prompt_completion: _prompt_completion,
    Layout.question_answer: lambda values: _pair(_text(values, "question"), _answer(values, "answer")),
    Layout.humaneval: humaneval_turns,
    Layout.mbpp: mbpp_turns,
}


def _pair(question: str, answer: str) -> list[Message]:
    return [Message(role="user", content=question), Message(role="assistant", content=answer)]


def _text(values: Values, key: str) -> str:
    value: Any = values[key]
    if not isinstance(value, str):
        msg = f"holds {type_of(value)} in `{key}`: it must be a text. {_MEND}"
        raise BadRow(msg)
    return value


def _answer(values: Values, key: str) -> str:
    """Return the answer; null is an empty one, as tables write it, and left to cleaning."""
    return "" if values[key] is None else _text(values, key)


def _no_column(values: Values, setting: str, column: str) -> str:
    return (
        f"has no column `{column}`, which {setting} names. {_there_is(column, values)} Rename one, or {_MEND.lower()}"
    )


def _there_is(key: str, values: Values) -> str:
    return nearest(key, values) if values else "It is empty."
