"""Scoring of SQL: what counts as right, what is refused, and that hostile statements do no harm."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.errors import EvaluationError
from tune.evaluate.sql import SqlScore, clean_sql, exact_match, score_sql
from tune.evaluate.sql_rows import same_multiset, same_sequence

SETUP = """
CREATE TABLE pets (name TEXT, kind TEXT, weight INTEGER, price REAL);
INSERT INTO pets VALUES ('Ann', 'cat', 4, 10.0), ('Bob', 'dog', 9, 20.5);
INSERT INTO pets VALUES ('Cid', 'cat', 6, NULL), ('Dot', 'dog', 9, 3.25);
"""
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "


def score(predicted: str, gold: str, *, ordered: bool = False) -> SqlScore:
    return score_sql(predicted, setup=SETUP, gold=gold, ordered=ordered)


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [
        ("select NAME from pets where weight >= 9", "SELECT name FROM pets WHERE weight > 6"),
        ("SELECT name AS who FROM pets ORDER BY name DESC", "SELECT name FROM pets"),
        ("SELECT 28 / 4.0", "SELECT AVG(weight) FROM pets"),  # (4 + 9 + 6 + 9) / 4 = 7
        ("SELECT 4.0", "SELECT MIN(weight) FROM pets"),
        ("SELECT 11.25000001", "SELECT AVG(price) FROM pets"),  # (10 + 20.5 + 3.25) / 3 = 11.25
        ("SELECT NULL", "SELECT price FROM pets WHERE name = 'Cid'"),
        ("SELECT name FROM pets WHERE kind = 'cat';", "SELECT name FROM pets WHERE kind = 'cat'"),
    ],
)
def test_another_query_with_the_same_result_is_a_match(predicted: str, gold: str) -> None:
    assert score(predicted, gold) == SqlScore(match=True, reason="match", detail="")


@pytest.mark.parametrize(
    ("predicted", "gold", "detail"),
    [
        ("SELECT name FROM pets", "SELECT name FROM pets WHERE kind = 'cat'", "more than 2 rows instead of 2"),
        ("SELECT name FROM pets WHERE weight > 99", "SELECT name FROM pets", "0 rows instead of 4"),
        ("SELECT DISTINCT kind FROM pets", "SELECT kind FROM pets", "2 rows instead of 4"),
        ("SELECT '4'", "SELECT MIN(weight) FROM pets", "other values: expected (4,), got ('4',)"),
        ("SELECT 5", "SELECT MIN(weight) FROM pets", "other values: expected (4,), got (5,)"),
        ("SELECT kind, name FROM pets", "SELECT name, kind FROM pets", "other values"),
        ("SELECT name, kind FROM pets", "SELECT name FROM pets", "other values"),
        ("SELECT 0", "SELECT price FROM pets WHERE name = 'Cid'", "other values: expected (None,), got (0,)"),
        ("SELECT 'ANN'", "SELECT name FROM pets LIMIT 1", "other values"),
    ],
)
def test_another_result_is_no_match_and_says_how_it_differs(predicted: str, gold: str, detail: str) -> None:
    result = score(predicted, gold)

    assert (result.match, result.reason) == (False, "different_result")
    assert result.detail.startswith(detail)


def test_row_order_counts_only_when_the_question_asks_for_it() -> None:
    gold, backwards = "SELECT name FROM pets ORDER BY name", "SELECT name FROM pets ORDER BY name DESC"

    assert score(backwards, gold, ordered=False).match
    assert score(backwards, gold, ordered=True).detail == "the right rows in another order"
    assert score(gold, gold, ordered=True).match


def test_near_equal_floats_match_in_any_row_order() -> None:
    rows = [("a", 0.1 + 0.2), ("b", 1e9)]

    assert same_multiset(rows, [("b", 1e9 + 1.0), ("a", 0.3)])
    assert not same_sequence(rows, [("b", 1e9), ("a", 0.3)])
    assert not same_multiset(rows, [("a", 0.3), ("b", 1.001e9)])


def test_repeated_rows_count_as_often_as_they_come() -> None:
    assert not same_multiset([(1,), (1,), (2,)], [(1,), (2,), (2,)])
    assert not same_multiset([(1_000_000,)], [(1_000_001,)])  # integers are exact
    assert same_multiset([(math.inf,)], [(math.inf,)])


@pytest.mark.parametrize(
    ("predicted", "reason", "detail"),
    [
        ("", "empty", "there is no statement"),
        ("  -- nothing but a comment", "empty", "there is no statement"),
        ("SELECT nme FROM pets", "error", "no such column: nme"),
        ("SELEC name FROM pets", "error", 'near "SELEC": syntax error'),
        ("SELECT name FROM pets WHERE kind = ?", "error", "Incorrect number of bindings supplied"),
        ("SELECT '\0'", "error", "the query contains a null character"),
        ("SELECT '\ud800'", "error", "'utf-8' codec can't encode"),
        ("SELECT name FROM pets; SELECT 1", "refused", "more than one statement"),
        ("DELETE FROM pets", "refused", "DELETE where only reading was asked for"),
        ("UPDATE pets SET weight = 1", "refused", "UPDATE where only reading was asked for"),
        ("INSERT INTO pets (name) VALUES ('Eve')", "refused", "INSERT where only reading was asked for"),
        (ENDLESS + "SELECT COUNT(*) FROM n", "timeout", "took more than 1000000 steps"),
    ],
)
def test_a_statement_without_a_result_gets_a_reason(predicted: str, reason: str, detail: str) -> None:
    result = score(predicted, "SELECT name FROM pets")

    assert (result.match, result.reason) == (False, reason)
    assert result.detail.startswith(detail)


def test_the_time_limit_stops_a_statement_that_stays_within_its_steps() -> None:
    result = score_sql(
        ENDLESS + "SELECT COUNT(*) FROM n", setup=SETUP, gold="SELECT COUNT(*) FROM pets", ordered=False, limit_s=0
    )

    assert (result.reason, result.detail) == ("timeout", "took longer than 0 s")


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [
        ("DELETE FROM pets WHERE weight = 9", "DELETE FROM pets WHERE kind = 'dog'"),
        ("DELETE FROM pets WHERE kind = 'dog' RETURNING *", "DELETE FROM pets WHERE kind = 'dog'"),
        ("UPDATE pets SET weight = 5 WHERE name = 'Ann'", "UPDATE pets SET weight = weight + 1 WHERE weight = 4"),
        ("INSERT INTO pets VALUES ('Eve', NULL, 3, NULL)", "INSERT INTO pets (weight, name) VALUES (3, 'Eve')"),
    ],
)
def test_writes_match_when_they_leave_the_same_rows(predicted: str, gold: str) -> None:
    assert score(predicted, gold).reason == "match"


@pytest.mark.parametrize(
    ("predicted", "detail"),
    [
        ("SELECT * FROM pets WHERE kind = 'dog'", "nothing was written"),
        ("DELETE FROM pets", "other rows are left in pets"),
        ("UPDATE pets SET weight = 0 WHERE kind = 'dog'", "other rows are left in pets"),
    ],
)
def test_writes_that_leave_other_rows_are_no_match(predicted: str, detail: str) -> None:
    result = score(predicted, "DELETE FROM pets WHERE kind = 'dog'")

    assert (result.match, result.reason, result.detail) == (False, "different_result", detail)


def test_reading_is_no_match_for_a_write_that_meets_no_row() -> None:
    assert score("SELECT 1", "DELETE FROM pets WHERE kind = 'fish'").detail == "nothing was written"


def test_one_statement_does_not_see_what_another_wrote() -> None:
    score("DELETE FROM pets", "DELETE FROM pets")

    assert score("SELECT COUNT(*) FROM pets", "SELECT 4").match


@pytest.mark.parametrize("gold", ["SELECT missing FROM pets", "DROP TABLE pets", ENDLESS + "SELECT COUNT(*) FROM n"])
def test_a_right_answer_that_does_not_run_is_an_error(gold: str) -> None:
    with pytest.raises(EvaluationError, match=r"does not run on its own database: .* Mend the data set"):
        score("SELECT 1", gold)


def test_a_setup_that_does_not_run_is_an_error() -> None:
    with pytest.raises(EvaluationError, match='near "CREAT": syntax error'):
        score_sql("SELECT 1", setup="CREAT TABLE t (a)", gold="SELECT 1", ordered=False)


def test_a_right_answer_with_too_many_rows_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="returns more than 10000 rows"):
        score("SELECT 1", ENDLESS + "SELECT i FROM n LIMIT 10001")


HOSTILE = (
    "ATTACH 'evil.db' AS evil",
    "ATTACH DATABASE 'file:evil.db?mode=rwc' AS evil",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO 'evil.db'",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = DELETE",
    "SELECT * FROM pragma_database_list",
    "INSERT INTO sqlite_master VALUES ('table', 't', 't', 0, 'CREATE TABLE t (a)')",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE VIRTUAL TABLE t USING fts5(a)",
    "DROP TABLE pets",
    "ALTER TABLE pets RENAME TO evil",
    "BEGIN EXCLUSIVE",
    "COMMIT",
    "SAVEPOINT a",
    "SELECT load_extension('evil')",
    "SELECT writefile('evil.db', 'x')",
    "SELECT name FROM pets; DROP TABLE pets",
    ENDLESS + "SELECT COUNT(*) FROM n",
    ENDLESS + "SELECT i FROM n ORDER BY random()",
    ENDLESS + "INSERT INTO pets (name) SELECT printf('%.9000c', 'a') FROM n",
    ENDLESS + "SELECT group_concat(i) FROM n",
    "SELECT COUNT(*) FROM " + ", ".join(f"pets p{i}" for i in range(40)),
    "SELECT zeroblob(1e9)",
    "SELECT hex(randomblob(1000000000))",
    "SELECT replace(printf('%.9000c', 'a'), 'a', printf('%.9000c', 'b'))",
    "SELECT " + "(" * 2000 + "1" + ")" * 2000,
    "SELECT " + "- " * 4000 + "1",
    "SELECT '" + "x" * 1_000_000 + "'",
)


@pytest.mark.parametrize("gold", ["SELECT name FROM pets WHERE kind = 'cat'", "DELETE FROM pets WHERE kind = 'cat'"])
@pytest.mark.parametrize("predicted", HOSTILE, ids=lambda text: text[:40])
def test_a_hostile_statement_is_answered_soon_and_leaves_no_file(
    predicted: str, gold: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started_s = time.monotonic()

    result = score(predicted, gold)

    assert time.monotonic() - started_s < 2
    assert result.reason in {"refused", "timeout", "error"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("predicted", [text for text in HOSTILE if text.split()[0] in {"ATTACH", "VACUUM", "PRAGMA"}])
def test_touching_anything_but_rows_is_refused(predicted: str) -> None:
    result = score(predicted, "SELECT 1")

    assert (result.reason, result.detail) == (
        "refused",
        "only SELECT, and INSERT, UPDATE or DELETE of rows, are allowed",
    )


def test_loading_an_extension_is_refused_by_name() -> None:
    assert score("SELECT load_extension('evil')", "SELECT 1").detail == "the function load_extension is not allowed"


@pytest.mark.parametrize(
    ("reply", "statement"),
    [
        ("  SELECT 1 \n", "SELECT 1"),
        ("SELECT 1;", "SELECT 1"),
        ("SELECT 1; SELECT 2;", "SELECT 1"),
        ("SQL: SELECT 1", "SELECT 1"),
        ("sql:\nSELECT 1", "SELECT 1"),
        ("```sql\nSELECT 1;\n```", "SELECT 1"),
        ("Here it is:\n```SQLite\nSELECT 1\n```\nIt works because …", "SELECT 1"),
        ("```SELECT 1```", "SELECT 1"),
        ("```sql\nSELECT 1", "SELECT 1"),
        ("SELECT 1\n\nThis returns one.", "SELECT 1"),
        (
            "```sql\nWITH a AS (\n  SELECT 1\n)\n\nSELECT * FROM a;\n```",
            "WITH a AS (\n  SELECT 1\n)\n\nSELECT * FROM a",
        ),
        ("SELECT 1\nFROM t\n  \nDone", "SELECT 1\nFROM t"),
        ("SELECT ';' FROM t; x", "SELECT ';' FROM t"),
        ("SELECT 'it''s; ok' AS \"a;b\"; x", "SELECT 'it''s; ok' AS \"a;b\""),
        ("SELECT 'open; x", "SELECT 'open"),
        ("", ""),
        (";", ""),
    ],
)
def test_a_reply_is_cut_down_to_its_first_statement(reply: str, statement: str) -> None:
    assert clean_sql(reply) == statement


@given(st.text(alphabet="SELECT1 sql:`'\";-/*[]\n\tü\0", max_size=60) | st.text(max_size=60))
def test_cleaning_and_scoring_survive_any_reply(reply: str) -> None:
    statement = clean_sql(reply)

    assert statement == statement.strip()
    assert statement in reply
    assert isinstance(score(statement, "SELECT name FROM pets").match, bool)


@pytest.mark.parametrize(
    ("predicted", "gold", "same"),
    [
        ("select name from pets", "SELECT name FROM pets", True),
        ("SELECT  name\nFROM pets WHERE weight>=4", "SELECT name FROM pets WHERE weight >= 4", True),
        ("SELECT COUNT( * ) FROM pets -- all", "SELECT COUNT(*) FROM pets", True),
        ("SELECT 'Ann'", "SELECT 'ann'", False),
        ("SELECT 'a  b'", "SELECT 'a b'", False),
        ("SELECT weight > 4", "SELECT weight >= 4", False),
        ("SELECT ab", "SELECT a b", False),
        ("", "SELECT 1", False),
    ],
)
def test_exact_match_folds_space_and_case_outside_quotes(predicted: str, gold: str, *, same: bool) -> None:
    assert exact_match(predicted, gold) is same
