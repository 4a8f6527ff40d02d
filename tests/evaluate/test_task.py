"""Scores of replies, by hand and by the data set's own rule."""

import json

import pytest

from tune.config.metric import Metric
from tune.evaluate.task import last_number, score_replies
from tune.examples import Example, Message


def example(answer: str, **extra: str) -> Example:
    return Example(id="e", messages=(Message(role="user", content="?"),), answer=answer, extra=extra)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("so it is 3 + 4 = 7", "7"),
        ("#### 1,234", "1234"),
        ("12 apples #### 5 apples of 12", "5"),
        ("it costs $2.50.", "2.5"),
        ("-3.0", "-3"),
        ("none", None),
        ("", None),
    ],
)
def test_the_number_of_a_reply(reply: str, number: str | None) -> None:
    assert last_number(reply) == number


def test_exact_match_folds_case_space_and_a_full_stop() -> None:
    asked = [example("Card arrival"), example("Card arrival")]

    assert score_replies(asked, ["  card   ARRIVAL. ", "card arrived"], Metric.exact_match).tolist() == [1.0, 0.0]


def test_execution_compares_results_not_texts() -> None:
    setup = "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2), (3);"
    asked = [example("SELECT a FROM t WHERE a > 1", setup=setup, ordered=False)] * 3

    scores = score_replies(
        asked, ["```sql\nSELECT a FROM t WHERE a >= 2;\n```", "SELECT a FROM t", "no"], Metric.execution
    )

    assert scores.tolist() == [1.0, 0.0, 0.0]


def test_every_solution_of_gsm8k_is_right_by_our_rule(shared_data) -> None:
    rows = [json.loads(line) for line in (shared_data / "gsm8k" / "test.jsonl").read_text().splitlines()]
    asked = [example(row["answer"], number=row["answer"].rsplit("####", 1)[1].strip()) for row in rows]

    scores = score_replies(asked, [row["answer"] for row in rows], Metric.numeric)

    assert len(rows) == 1319
    assert scores.sum() == 1319
