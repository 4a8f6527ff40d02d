"""From a list of turns to a question and its answer; what roles are known, and which orders have no answer."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tune.data.rows import BadRow, list_of, type_of
from tune.data.text import MAX_ROW
from tune.examples import Message

ROLES = {"system": "system", "user": "user", "assistant": "assistant"}
"""Of ChatML `messages`."""

SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
"""Of ShareGPT `conversations`: what its collections call who speaks, and whom it stands for."""

_TOOL_ROLES = {"tool", "function", "function_call", "function_response", "tool_call", "tool_response", "observation"}
_MAX_ROLE = 40
"""Characters of an unknown role that are shown."""

TOOL_KEYS = ("tool_calls", "function_call", "tool_call_id")
"""Keys of a turn that are refused where they hold something."""


def messages_of(turns: Any, *, key: str) -> list[Message]:
    """Return the messages of a list of objects with role and content.

    Args:
        turns: What the row holds.
        key: Where the row holds it, for complaints.

    Raises:
        BadRow: It is no such list, a role is unknown, or a tool is called.
    """
    return [_message(turn, key, "role", "content", ROLES) for turn in _objects(turns, key)]


def conversation_of(turns: Any, *, key: str) -> list[Message]:
    """Return the messages of a ShareGPT conversation; objects with role and content are taken too.

    Raises:
        BadRow: It is no list of objects, a role is unknown, or a tool is called.
    """
    return [
        _message(turn, key, "role", "content", SHAREGPT_ROLES)
        if "role" in turn and "from" not in turn
        else _message(turn, key, "from", "value", SHAREGPT_ROLES)
        for turn in _objects(turns, key)
    ]


def divided(turns: Sequence[Message]) -> tuple[tuple[Message, ...], str]:
    """Return the turns before the last answer, and that answer; system messages without text are left out.

    An answer may be empty: what becomes of such a row is a question of cleaning.

    Raises:
        BadRow: The last turn is not the assistant's, the one before it not the user's, two answers follow each other,
            or the text is longer than MAX_ROW.
    """
    said = [turn for turn in turns if turn.role != "system" or turn.content.strip()]
    if not any(turn.role == "assistant" for turn in said):
        msg = "has no answer: the last turn must be the assistant's. Complete or remove the row."
        raise BadRow(msg)
    if said[-1].role != "assistant":
        msg = f"ends with the {said[-1].role}'s turn, which has no answer. Add the assistant's, or remove that turn."
        raise BadRow(msg)
    for number, (turn, following) in enumerate(pairwise(said), start=1):
        if turn.role == following.role == "assistant":
            msg = (
                f"has two assistant turns in a row (turns {number} and {number + 1}), so the second answers nothing. "
                "Join them, or put the user's turn between."
            )
            raise BadRow(msg)
    if len(said) == 1 or said[-2].role != "user":
        before = f"the turn before it is the {said[-2].role}'s" if len(said) > 1 else "no turn is before it"
        msg = f"has an answer without a question: {before}, it must be the user's. Mend or remove the row."
        raise BadRow(msg)
    size = sum(len(turn.content) for turn in said)
    if size > MAX_ROW:
        msg = f"holds {size:,} characters; a row may have at most {MAX_ROW:,} (1 MiB). Split or remove the row."
        raise BadRow(msg)
    return tuple(said[:-1]), said[-1].content


def _objects(turns: Any, key: str) -> list[Mapping[str, Any]]:
    if not isinstance(turns, list):
        msg = f"holds {type_of(turns)} in `{key}`: it must be a list of objects, one a turn. Mend or remove the row."
        raise BadRow(msg)
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, dict):
            msg = f"holds {type_of(turn)} as turn {number} of `{key}`: it must be an object. Mend or remove the row."
            raise BadRow(msg)
    return turns


def _message(turn: Mapping[str, Any], key: str, who: str, what: str, roles: Mapping[str, str]) -> Message:
    speaker, content = turn.get(who), turn.get(what)
    role = roles.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise _unknown(turn, key, who, roles)
    for name in TOOL_KEYS:
        if turn.get(name):
            msg = f"has a turn with `{name}`: calls of tools are not trained on. Remove such rows, or write the call "
            msg += f"into `{what}` as text."
            raise BadRow(msg)
    if content is None and role == "assistant" and what in turn:
        content = ""  # an answer left empty, as a table writes it
    if not isinstance(content, str):
        found = type_of(content) if what in turn else "nothing"
        msg = f"has a turn of {role} that holds {found} in `{what}`: it must be a text. Mend or remove the row."
        raise BadRow(msg)
    return Message(role=role, content=content)


def _unknown(turn: Mapping[str, Any], key: str, who: str, roles: Mapping[str, str]) -> BadRow:
    if who not in turn:
        return BadRow(
            f"has a turn in `{key}` without `{who}`; its keys are {list_of(turn) or 'none'}. "
            "Rename the key, or mend or remove the row."
        )
    speaker = repr(turn[who])
    speaker = speaker if len(speaker) <= _MAX_ROLE else f"{speaker[:_MAX_ROLE]}…"
    known = f"it must be one of {', '.join(roles)}. Mend or remove the row."
    if isinstance(turn[who], str) and turn[who] in _TOOL_ROLES:
        return BadRow(f"has a turn with {who} {speaker}: calls of tools are not trained on; {known}")
    return BadRow(f"has a turn with {who} {speaker}, which is unknown: {known}")
