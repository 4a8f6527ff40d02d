"""A metric of the user's own: what it is given, what it may return, and what is said where it fails."""

from pathlib import Path

import numpy as np
import pytest

from tune.errors import ConfigError, EvaluationError
from tune.evaluate.own_metric import OwnMetric, read_own_metric
from tune.examples import Example, Message

ASKED = [
    Example(id=f"e{n}", messages=(Message(role="user", content="?"),), answer=str(n), label="l", extra={"k": n})
    for n in range(2)
]


def metric(folder: Path, body: str, name: str = "mine") -> OwnMetric:
    file = folder / "own.py"
    file.write_text(body)
    return read_own_metric(f"{file}:{name}")


def test_it_is_given_the_example_in_plain_data_and_the_reply(tmp_path: Path) -> None:
    body = """
def mine(example, reply):
    seen = {"id": example["id"], "messages": [{"role": "user", "content": "?"}], "label": "l"}
    seen |= {"answer": example["id"][1], "extra": {"k": int(example["id"][1])}}
    assert example == seen
    example.clear()
    return reply == seen["answer"]
"""
    assert metric(tmp_path, body).score(ASKED, ["0", "0"]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("value", "score"), [("0.25", 0.25), ("True", 1), ("3", 3), ("np.float32(0.5)", 0.5), ("np.bool_(False)", 0)]
)
def test_numbers_and_truth_values_are_scores(tmp_path: Path, value: str, score: float) -> None:
    found = metric(tmp_path, f"import numpy as np\ndef mine(example, reply): return {value}\n").score(ASKED, ["", ""])

    assert found.tolist() == [score, score]
    assert found.dtype == np.float64


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "None", "'1'", "[1]", "1j"])
def test_what_is_no_score_names_the_example_and_the_reply(tmp_path: Path, value: str) -> None:
    one = metric(tmp_path, f"def mine(example, reply): return {value}\n")

    with pytest.raises(EvaluationError, match=r"example e0, reply 'hello': the function returned .*no finite number"):
        one.score(ASKED, ["hello", ""])


def test_what_it_raises_names_the_example_and_the_beginning_of_the_reply(tmp_path: Path) -> None:
    one = metric(tmp_path, "def mine(example, reply): return 1 / len(reply.strip('x'))\n")

    with pytest.raises(EvaluationError, match=rf"example e1, reply '{'x' * 80}'…: .* raised ZeroDivisionError"):
        one.score(ASKED, ["a", "x" * 200])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def mine(example reply): ...", "cannot be read as Python"),
        ("def mien(example, reply): ...", "has no function mine.*Did you mean mien"),
        ("x = 1", r"has no function mine.*def mine\(example, reply\)"),
        ("def mine(reply): ...", "a function of two arguments"),
        ("def mine(a, b, c): ...", "a function of two arguments"),
        ("def mine(a, b, *, c): ...", "a function of two arguments"),
        ("async def mine(a, b): ...", "a function of two arguments"),
        ("class mine: ...", "a function of two arguments"),
    ],
)
def test_a_file_is_refused_without_being_run(tmp_path: Path, body: str, said: str) -> None:
    ran = tmp_path / "ran"

    with pytest.raises(ConfigError, match=said):
        metric(tmp_path, f"open({str(ran)!r}, 'w')\n{body}\n")

    assert not ran.exists()


@pytest.mark.parametrize("signature", ["a, b", "a, b, c=1", "*args", "a, b, **more", "a, /, b", "a, b, *, c=1"])
def test_what_can_be_called_with_two_arguments_is_a_metric(tmp_path: Path, signature: str) -> None:
    assert metric(tmp_path, f"def mine({signature}): return 1\n").score(ASKED, ["", ""]).tolist() == [1, 1]


def test_an_imported_function_is_a_metric_too(tmp_path: Path) -> None:
    one = metric(tmp_path, "from operator import contains as mine\n")

    assert one.score(ASKED, ["id", "nothing"]).tolist() == [1, 0]  # keys of the example


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.py cannot be read"):
        read_own_metric(f"{tmp_path}/nowhere.py:mine")


def test_what_was_read_is_run_whatever_happens_to_the_file(tmp_path: Path) -> None:
    one = metric(tmp_path, "def mine(example, reply): return 1\n")

    other = metric(tmp_path, "def mine(example, reply): return 0\n")

    assert one.score(ASKED, ["", ""]).tolist() == [1, 1]
    assert other.score(ASKED, ["", ""]).tolist() == [0, 0]
    assert one.digest != other.digest


def test_a_file_that_raises_says_so(tmp_path: Path) -> None:
    one = metric(tmp_path, "import there_is_no_such_package\ndef mine(a, b): return 1\n")

    with pytest.raises(ConfigError, match="raised ModuleNotFoundError when it was run: No module named"):
        one.load()


def test_a_name_that_holds_no_function_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mine is no function"):
        metric(tmp_path, "mine = 3\n").load()


def test_dataclasses_and_line_numbers_work_in_it(tmp_path: Path) -> None:
    body = """
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Found:
    n: int
def mine(example, reply):
    return Found(n=1).n
"""
    assert metric(tmp_path, body).score(ASKED, ["", ""]).tolist() == [1, 1]
