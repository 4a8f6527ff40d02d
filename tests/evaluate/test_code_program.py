"""What a reply is taken for: which code, with which tests."""

import pytest

from tests.evaluate.hostile_programs import EXTRA, PROMPT, TEST
from tune.evaluate.code_program import code_of, programs_of

TESTS = f"\n\n{TEST}\n\ncheck(add)\n"
HEAD = PROMPT.rstrip()


def first(reply: str) -> str:
    """The first reading that compiles, without its tests."""
    for text in programs_of(reply, EXTRA):
        try:
            compile(text, "p", "exec")
        except SyntaxError:
            continue
        assert text.endswith(TESTS)
        return text.removesuffix(TESTS)
    pytest.fail("no reading compiles")


@pytest.mark.parametrize(
    ("reply", "program"),
    [
        ("    return a + b\n", f"{HEAD}\n    return a + b"),
        ("return a + b", f"{HEAD}\n    return a + b"),
        ("x = a\n    return x + b", f"{HEAD}\n    x = a\n    return x + b"),
        ("x = a\nreturn x + b", f"{HEAD}\n    x = a\n    return x + b"),
        ("for x in (a,):\n    y = x + b\nreturn y", f"{HEAD}\n    for x in (a,):\n        y = x + b\n    return y"),
        # What goes on after the function is left out where it would do something, and kept where it may be needed.
        ("    return a + b\n\n\nprint(add(1, 2))\nassert add(1, 1) == 3", f"{HEAD}\n    return a + b\n\n"),
        ("    return plus(a, b)\n\ndef plus(a, b): return a + b", None),
        ('    return a + b\n\ndef next_one(a):\n    """Cut off in the mid', f"{HEAD}\n    return a + b\n"),
        # A body without its outermost indentation, and no return there.
        (
            "if a:\n    return a + b\nelse:\n    return b",
            f"{HEAD}\n    if a:\n        return a + b\n    else:\n        return b",
        ),
        # A fence that closes the prompt's own, and talk after it.
        ("    return a + b\n```\nThis adds both.", f"{HEAD}\n    return a + b"),
        ("return a + b\n```\nThis adds both.", f"{HEAD}\n    return a + b"),
        ("Here it is:\n```\n    return a + b", f"{HEAD}\n    return a + b"),
        (
            "1. Like this:\n   ```python\n   def add(a, b):\n       return a + b\n   ```\n",
            "from typing import List\n\n\ndef add(a, b):\n    return a + b\n",
        ),
        ("    return a + b\n\nThis adds both.", f"{HEAD}\n    return a + b\n"),
        ("```python\n    return a + b\n```", f"{HEAD}\n    return a + b\n"),
        (
            "```\ndef add(a, b):\n    return a + b\n```",
            "from typing import List\n\n\ndef add(a, b):\n    return a + b\n",
        ),
        (
            "So:\ndef add(a, b):\n    return a + b\nIt adds.",
            "from typing import List\n\n\ndef add(a, b):\n    return a + b",
        ),
    ],
)
def test_a_reply_becomes_a_program(reply: str, program: str | None) -> None:
    assert first(reply) == (f"{HEAD}\n{reply}" if program is None else program)


def test_the_block_that_defines_the_function_is_taken() -> None:
    reply = "```bash\nls\n```\n```python\nprint(1)\n```\n```py\ndef add(a, b): return a + b\n```\n"

    assert code_of(reply, "add") == "def add(a, b): return a + b\n"
    assert code_of(reply, "other") == "print(1)\n"
    assert code_of("```python\ncut off") == "cut off"


def test_mbpp_code_stands_before_its_tests() -> None:
    assert programs_of("def f(): return 1", {"test": "assert f() == 1"}) == ["def f(): return 1\n\nassert f() == 1\n\n"]


@pytest.mark.parametrize("reply", ["", " \n\t", "```python\n```"])
def test_no_code_is_no_program(reply: str) -> None:
    assert programs_of(reply, EXTRA) == []
