"""Rows of the user's own: ChatML `messages`, or Alpaca `instruction`, `input`, `output`."""

from pathlib import Path
from typing import Any

from tune.data.rows import json_lines
from tune.errors import DataError
from tune.examples import Example, Message

ROLES = ("system", "user", "assistant")


def read_chat(file: Path) -> list[Example]:
    """Return one example a row: the last assistant turn is the answer, everything before it the question.

    Raises:
        DataError: A row is neither ChatML nor Alpaca, or has no answer.
    """
    return [_example(file, number, row) for number, row in json_lines(file)]


def _example(file: Path, number: int, row: dict[str, Any]) -> Example:
    where = f"{file} line {number}"
    turns = _chatml(where, row) if "messages" in row else _alpaca(where, row)
    if len(turns) < 2 or turns[-1].role != "assistant" or not turns[-1].content.strip():  # noqa: PLR2004
        msg = f"{where} has no answer: the last turn must be the assistant's and hold text. Complete or remove the row."
        raise DataError(msg)
    if turns[-2].role != "user":
        msg = (
            f"{where}: the turn before the answer is {turns[-2].role}'s, it must be the user's. Mend or remove the row."
        )
        raise DataError(msg)
    return Example(id=f"line/{number}", messages=tuple(turns[:-1]), answer=turns[-1].content)


def _chatml(where: str, row: dict[str, Any]) -> list[Message]:
    turns = row["messages"]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        msg = f"{where}: `messages` must be a list of objects with role and content. Mend or remove the row."
        raise DataError(msg)
    return [_message(where, turn) for turn in turns]


def _message(where: str, turn: dict[str, Any]) -> Message:
    role, content = turn.get("role"), turn.get("content")
    if role not in ROLES or not isinstance(content, str):
        msg = f"{where}: a message has role {role!r} and content of type {type(content).__name__}; "
        msg += f"role must be one of {', '.join(ROLES)} and content a text. Mend or remove the row."
        raise DataError(msg)
    return Message(role=role, content=content)


def _alpaca(where: str, row: dict[str, Any]) -> list[Message]:
    if not isinstance(row.get("instruction"), str):
        msg = (
            f"{where} has the keys {', '.join(row)}: expected ChatML (`messages`) or Alpaca "
            "(`instruction`, `input`, `output`). Rename the keys."
        )
        raise DataError(msg)
    question, extra, answer = row["instruction"], row.get("input") or "", row.get("output")
    asked = f"{question}\n\n{extra}" if extra else question
    said = answer if isinstance(answer, str) else ""
    return [Message(role="user", content=asked), Message(role="assistant", content=said)]
