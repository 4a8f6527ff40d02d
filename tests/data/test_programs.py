"""HumanEval and MBPP rows: seen from their keys, asked and answered as published, with their tests."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.reading_files import as_parquet, content, lines, read, refusal
from tune.config import rules
from tune.config.compose import compose
from tune.errors import ConfigError

HUMANEVAL = {
    "task_id": "T/0",
    "prompt": 'def add(a, b):\n    """Return the sum."""\n',
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}
MBPP: dict[str, Any] = {
    "task_id": 1,
    "text": "Write a function that adds two numbers.",
    "code": "def add(a, b):\n    return a + b",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"],
    "test_setup_code": "ONE = 1",
    "challenge_test_list": [],
}
ASKED = (
    "Write a function that adds two numbers.\nYour code should pass these tests:\n"
    "assert add(1, 2) == 3\nassert add(0, 0) == 0"
)


def test_a_humaneval_row_asks_its_prompt_and_carries_its_tests(tmp_path: Path) -> None:
    source = read(lines(tmp_path / "rows.jsonl", [HUMANEVAL]))

    assert source.layout == "HumanEval, 1 row of 1 JSON lines file; 1 key not read: task_id"
    assert content(source.rows) == [([("user", HUMANEVAL["prompt"])], HUMANEVAL["canonical_solution"])]
    assert dict(source.rows[0].extra) == {name: HUMANEVAL[name] for name in ("prompt", "entry_point", "test")}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("key", ["text", "prompt"])
def test_an_mbpp_row_shows_its_tests_which_alone_name_the_function(tmp_path: Path, kind: str, key: str) -> None:
    row = {key if name == "text" else name: value for name, value in MBPP.items()}
    file = tmp_path / f"rows.{kind}"
    source = read(as_parquet(file, [row]) if kind == "parquet" else lines(file, [row]))

    assert source.layout.startswith("MBPP, 1 row of 1 ")
    assert source.layout.endswith("2 keys not read: challenge_test_list, task_id")
    assert content(source.rows) == [([("user", ASKED)], MBPP["code"])]
    assert source.rows[0].extra["test"] == "ONE = 1\nassert add(1, 2) == 3\nassert add(0, 0) == 0"


def test_imports_of_tests_stand_before_them(tmp_path: Path) -> None:
    row = MBPP | {"test_imports": ["import math"], "test_setup_code": None}

    source = read(lines(tmp_path / "rows.jsonl", [row]))

    assert source.rows[0].extra["test"] == "import math\nassert add(1, 2) == 3\nassert add(0, 0) == 0"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (MBPP | {"test_list": []}, "line 1 has no test in `test_list`"),
        (MBPP | {"test_list": "assert x"}, "line 1 holds a text in `test_list`: it must be a list of texts"),
        (MBPP | {"text": None}, "line 1 has neither `text` nor `prompt`"),
        (HUMANEVAL | {"entry_point": 3}, "line 1 holds a number in `entry_point`: it must be a text"),
        (HUMANEVAL | {"canonical_solution": None}, "line 1 holds null in `canonical_solution`: it must be a text"),
    ],
)
def test_a_row_that_cannot_be_scored_is_told_with_its_line(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    assert said in refusal(tmp_path / "rows.jsonl", json.dumps(row))


@pytest.mark.parametrize(
    "words", [["data=text_to_sql"], ["data=jsonl", "data.path=f.jsonl", "data.layout=question_answer"]]
)
def test_the_metric_code_needs_rows_that_may_have_tests(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"data\.metrics has code, which needs rows with tests, but data\.format="):
        rules.check(compose([*words, "data.metrics=[code]"]))


@pytest.mark.parametrize("layout", ["auto", "humaneval", "mbpp"])
def test_the_metric_code_composes_with_the_layouts_that_have_tests(layout: str) -> None:
    rules.check(compose(["data=jsonl", "data.path=f.jsonl", f"data.layout={layout}", "data.metrics=[code]"]))


def test_limits_out_of_range_are_told_together() -> None:
    wrong = ["evaluate.code.timeout_s=0", "evaluate.code.memory_mib=32", "evaluate.code.n_parallel=0"]

    with pytest.raises(ConfigError) as caught:
        rules.check(compose(wrong))

    assert "evaluate.code.timeout_s=0 is not allowed: it must be from 1 to 600." in str(caught.value)
    assert "evaluate.code.memory_mib=32 is not allowed: it must be from 64 to 65536." in str(caught.value)
    assert "evaluate.code.n_parallel=0 is not allowed: it must be 1 or more." in str(caught.value)
