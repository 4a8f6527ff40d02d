"""Rows that ask for a program and carry its tests, as HumanEval and MBPP have them.

Sources: Chen et al. 2021, https://arxiv.org/abs/2107.03374; Austin et al. 2021, https://arxiv.org/abs/2108.07732.
"""

from tune.config.data import Layout
from tune.data.rows import BadRow, Values, type_of
from tune.examples import Message

MBPP_KEYS = ("text", "prompt", "test_setup_code", "test_imports")
"""Keys that an MBPP row may have besides its code and tests; one of the first two is its question."""

_MEND = "Mend or remove the row."


def humaneval_turns(values: Values) -> list[Message]:
    """Return the beginning of a function as the question, and the rest of it as the answer.

    Raises:
        BadRow: A key holds something else than text.
    """
    return _turns(_text(values, "prompt"), _text(values, "canonical_solution"))


def mbpp_turns(values: Values) -> list[Message]:
    """Return what the function should do with its tests, which alone say its name, and its code as the answer.

    Raises:
        BadRow: The row does not say what is asked, or a key holds something else than MBPP has there.
    """
    key = next((key for key in ("text", "prompt") if values.get(key) is not None), None)
    if key is None:
        msg = f"has neither `text` nor `prompt`, one of which is the question of an MBPP row. {_MEND}"
        raise BadRow(msg)
    tests = "\n".join(_texts(values, "test_list"))
    return _turns(f"{_text(values, key).strip()}\nYour code should pass these tests:\n{tests}", _text(values, "code"))


def tests_of(values: Values, layout: Layout) -> dict[str, str]:
    """Return what scoring a program needs, for an example's `extra`; nothing for other layouts.

    Raises:
        BadRow: There is no test, or a key holds something else than the layout has there.
    """
    if layout is Layout.humaneval:
        return {name: _text(values, name) for name in ("prompt", "entry_point", "test")}
    if layout is not Layout.mbpp:
        return {}
    tests = _texts(values, "test_list")
    if not tests:
        msg = f"has no test in `test_list`: a program without tests cannot be scored. {_MEND}"
        raise BadRow(msg)
    imports = _texts(values, "test_imports") if values.get("test_imports") is not None else []
    setup = [_text(values, "test_setup_code")] if values.get("test_setup_code") is not None else []
    return {"test": "\n".join([*imports, *setup, *tests])}


def _turns(question: str, answer: str) -> list[Message]:
    return [Message(role="user", content=question), Message(role="assistant", content=answer)]


def _text(values: Values, key: str) -> str:
    value = values[key]
    if not isinstance(value, str):
        msg = f"holds {type_of(value)} in `{key}`: it must be a text. {_MEND}"
        raise BadRow(msg)
    return value


def _texts(values: Values, key: str) -> list[str]:
    found = values[key]
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        msg = f"holds {type_of(found)} in `{key}`: it must be a list of texts. {_MEND}"
        raise BadRow(msg)
    return found
