"""Scores of replies, by hand and by the data set's own rule."""

import json
import re

import pytest

from tune.config.data import DataConfig
from tune.config.evaluation import EvaluateConfig
from tune.config.metric import Metric
from tune.config.scoring import LabelFrom, Normalise, ScoringConfig
from tune.errors import DataError
from tune.evaluate.labels import read_labels
from tune.evaluate.scoring import Scoring, read_scoring
from tune.evaluate.task import last_number, score_replies, without_label
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
        ("6 - 2 = 4. 4 * 3 = 12\n####", "12"),
        ("#### Final answer\nThe total is 18 + 3 = 21.", "21"),
        ("9 in all\n#### 7\nbut 8", "7"),
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


def test_numbers_are_read_as_the_data_set_s_own_rule_reads_them(shared_data) -> None:
    # The published rule: what stands after #### and a space, digits, commas and points, without the commas.
    rule = re.compile(r"#### (-?[0-9.,]+)")
    rows = [json.loads(line) for line in (shared_data / "gsm8k" / "test.jsonl").read_text().splitlines()]
    right = [rule.search(row["answer"]).group(1).replace(",", "") for row in rows]

    assert [last_number(row["answer"]) for row in rows] == right
    asked = [example(row["answer"]) for row in rows]
    shifted = [*right[1:], right[0]]  # a solution is right for another question where that has the same number
    expected = [float(one == other) for one, other in zip(right, shifted, strict=True)]
    replies = [row["answer"] for row in [*rows[1:], rows[0]]]
    assert score_replies(asked, replies, Metric.numeric).tolist() == expected
    assert sum(expected) < 0.1 * len(expected)


def test_named_rules_say_what_exact_means() -> None:
    asked = [example("The Café!")]
    rules = ScoringConfig(normalise=[*Normalise])

    assert score_replies(asked, ["a cafe"], Metric.exact_match).tolist() == [0]
    assert score_replies(asked, ["a cafe"], Metric.exact_match, Scoring(settings=rules)).tolist() == [1]


LABELS = read_labels(["yes", "no"], [], rules=[Normalise.case], how=LabelFrom.only)


def test_accuracy_macro_f1_and_replies_without_a_label_by_hand() -> None:
    asked = [example("yes"), example("yes"), example("no"), example("no")]
    replies = ["Yes, it is", "no", "no way", "I cannot say"]
    scoring = Scoring(labels=LABELS)

    assert score_replies(asked, replies, Metric.accuracy, scoring).tolist() == [1, 0, 1, 0]
    # yes: TP 1, FN 1: 2/3; no: TP 1, FP 1, FN 1: 2/4
    assert score_replies(asked, replies, Metric.macro_f1, scoring).mean() == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert without_label(replies, LABELS).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(("whole", "scores"), [(False, [1, 1, 0]), (True, [1, 0, 0])])
def test_a_regular_expression_is_searched_or_matches_all(whole: bool, scores: list[float]) -> None:
    scoring = Scoring(settings=ScoringConfig(regex="(?i)order \\d+", regex_whole=whole))

    found = score_replies([example("")] * 3, ["Order 12", "it is order 12", "order"], Metric.regex, scoring)

    assert found.tolist() == scores


def test_every_metric_of_texts_is_0_to_1_and_1_for_the_right_answer() -> None:
    answer = '{"city": "Oslo", "rain": 12}'
    scoring = Scoring(
        settings=ScoringConfig(regex="Oslo"),
        labels=read_labels([answer, "no"], [], rules=[], how=LabelFrom.only),
        schema={"required": ["rain"]},
    )
    of_texts = [metric for metric in Metric if metric not in {Metric.execution, Metric.code}]

    for metric in of_texts:
        right = score_replies([example(answer)] * 2, [answer, answer], metric, scoring)
        wrong = score_replies([example(answer)] * 2, ["?", "?"], metric, scoring)
        assert right.tolist() == pytest.approx([1, 1]), metric
        assert wrong.tolist() == pytest.approx([0, 0], abs=0.05), metric


def test_rouge_is_refused_where_it_sees_nothing() -> None:
    answers = ["Москва", "Осло", "Oslo"]

    with pytest.raises(DataError, match=r"2 of 3 right answers have no Latin letter.*Take chrf"):
        read_scoring(DataConfig(metrics=[Metric.rouge1]), EvaluateConfig(), answers)

    read_scoring(DataConfig(metrics=[Metric.chrf]), EvaluateConfig(), answers)
    read_scoring(DataConfig(metrics=[Metric.rouge1]), EvaluateConfig(), [*answers, "Bergen"])


def test_what_replies_are_held_against_has_a_digest_of_what_moves_a_score(tmp_path) -> None:
    schema, other = tmp_path / "one.json", tmp_path / "other.json"
    schema.write_text('{"type": "object"}')
    other.write_text('{ "type":"object" }')
    own = tmp_path / "own.py"
    own.write_text("def mine(example, reply): return 1\n")

    def of(metric: Metric = Metric.exact_match, own: str | None = None, **settings: object) -> str:
        data = DataConfig(metrics=[metric], scoring=ScoringConfig(**settings))
        return read_scoring(data, EvaluateConfig(metric=own), ["a", "b"]).digest

    usual = of()
    assert of(normalise=[Normalise.full_stop, Normalise.space, Normalise.case]) == usual
    digests = {
        *(usual, of(normalise=[]), of(Metric.regex, regex="a"), of(Metric.regex, regex="a", regex_whole=True)),
        *(of(Metric.accuracy), of(Metric.accuracy, labels=["a", "b", "c"])),
        of(Metric.accuracy, label_from=LabelFrom.last),
        *(of(Metric.json_schema, json_schema=str(schema)), of(own=f"{own}:mine")),
    }
    assert len(digests) == 9
    assert of(Metric.json_schema, json_schema=str(other)) in digests
    own.write_text("def mine(example, reply): return 0\n")
    assert of(own=f"{own}:mine") not in digests
