"""The text_to_sql task: fair questions, splits that share nothing they should not, the same from the same seed."""

import importlib
import random
import sqlite3
from collections import Counter
from contextlib import closing
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune.data.text_to_sql import generate
from tune.data.text_to_sql.allotment import allot, fill, fits
from tune.data.text_to_sql.checks import Databases
from tune.data.text_to_sql.generate import SYSTEM_PROMPT
from tune.data.text_to_sql.patterns import PATTERNS, Pattern
from tune.data.text_to_sql.patterns.pattern import gold, without_each_piece
from tune.data.text_to_sql.rows import rows_of, setup_script
from tune.data.text_to_sql.schemas import SCHEMAS, TEST_SCHEMAS, TRAIN_SCHEMAS, VALIDATION_SCHEMAS
from tune.data.text_to_sql.tables import Schema
from tune.errors import DataError
from tune.evaluate.sql import score_sql
from tune.examples import Example

SIZE = 400
LEVELS = {pattern.name: pattern.level for pattern in PATTERNS}


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Example]]:
    return generate(n_train=SIZE, n_validation=SIZE, n_test=SIZE, seed=0)


def question(example: Example) -> str:
    return example.messages[-1].content.splitlines()[-1]


def score_itself(example: Example, predicted: str) -> bool:
    extra = example.extra
    return score_sql(predicted, setup=str(extra["setup"]), gold=example.answer, ordered=bool(extra["ordered"])).match


def rows_returned(example: Example) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(str(example.extra["setup"]))
        return connection.execute(example.answer).fetchall()


def test_there_are_enough_schemas_patterns_and_phrasings() -> None:
    assert len(SCHEMAS) == len({schema.name for schema in SCHEMAS}) >= 10
    assert len(PATTERNS) == len({pattern.name for pattern in PATTERNS}) >= 44
    assert min(len(set(pattern.phrasings)) for pattern in PATTERNS) >= 5
    assert set(LEVELS.values()) == {"easy", "medium", "hard"}


def test_no_phrasing_belongs_to_two_patterns() -> None:
    phrasings = [phrasing for pattern in PATTERNS for phrasing in pattern.phrasings]

    assert len(phrasings) == len(set(phrasings))


def test_schemas_stay_small() -> None:
    for schema in SCHEMAS:
        assert len(schema.tables) in {1, 2}
        assert all(len(table.columns) <= 5 for table in schema.tables)
        assert len({table.name[0] for table in schema.tables}) == len(schema.tables)  # aliases are first letters


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_rows_are_free_of_ties_where_a_question_needs_it(schema: Schema) -> None:
    for table in schema.tables:
        for place, column in enumerate(table.columns):
            values = [row[place] for row in rows_of(schema)[table.name]]
            counts = sorted(Counter(values).values())
            if column.role in {"label", "date", "id"}:
                assert set(counts) == {1}
            elif column.role == "category":
                assert len(counts) == len(set(counts))  # "the most common" has one answer
            elif column.role == "measure":
                ranked = sorted(values)
                assert len(set(ranked[:3])) == len(set(ranked[-3:])) == 3
            elif column.role == "blank":
                assert None in values
                assert len(set(values)) > 1


def test_one_table_written_out_by_hand() -> None:
    shop = next(schema for schema in SCHEMAS if schema.name == "shop")

    assert shop.signature == "orders(code, status, amount, placed, customer_id)\ncustomers(id, name, city, email)"
    assert "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT, email TEXT);" in setup_script(shop)


def test_pieces_that_matter_are_left_out_one_at_a_time() -> None:
    sql = "SELECT a FROM t WHERE[ b = 1 AND][ c = 2]"

    assert gold(sql) == "SELECT a FROM t WHERE b = 1 AND c = 2"
    assert without_each_piece(sql) == ["SELECT a FROM t WHERE c = 2", "SELECT a FROM t WHERE b = 1"]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_every_pattern_has_schemas_for_every_novelty(pattern: Pattern) -> None:
    known = set(allot(pattern, "train", "none").schemas)

    assert len(known) >= 2
    assert known <= set(TRAIN_SCHEMAS)
    kept = [allot(pattern, split, "combination").schemas for split in ("validation", "test")]
    assert kept[0] != kept[1]
    assert not known & {*kept[0], *kept[1]}
    assert set(allot(pattern, "validation", "schema").schemas) <= set(VALIDATION_SCHEMAS)
    assert set(allot(pattern, "test", "schema").schemas) <= set(TEST_SCHEMAS)
    assert allot(pattern, "validation", "schema").schemas
    assert allot(pattern, "test", "schema").schemas


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_every_pattern_on_a_schema_it_fits_has_a_telling_query_that_matches_itself(schema: Schema) -> None:
    rng = random.Random(schema.name)
    with Databases() as databases:
        for pattern in (pattern for pattern in PATTERNS if fits(pattern, schema)):
            fillings = (pattern.sql.format(**fill(pattern, schema, rng)) for _ in range(300))
            sql = next(sql for sql in fillings if databases.is_telling(schema, sql, ordered=pattern.ordered))

            score = score_sql(gold(sql), setup=setup_script(schema), gold=gold(sql), ordered=pattern.ordered)
            assert score.match, score
            for lazy in without_each_piece(sql):
                assert not score_sql(lazy, setup=setup_script(schema), gold=gold(sql), ordered=pattern.ordered).match, (
                    lazy
                )


def test_every_answer_runs_and_differs_from_reading_whole_tables(splits: dict[str, list[Example]]) -> None:
    for example in (example for split in splits.values() for example in split):
        assert score_itself(example, example.answer)
        tables = [line.split("(")[0] for line in example.messages[-1].content.splitlines()[:-1]]
        assert not any(score_itself(example, f"SELECT * FROM {table}") for table in tables)


def test_every_reading_answer_returns_a_value(splits: dict[str, list[Example]]) -> None:
    for example in (example for split in splits.values() for example in split):
        if not example.extra["writes"]:
            assert any(value is not None for row in rows_returned(example) for value in row), example.answer


def test_answers_do_not_depend_on_how_rows_are_stored(splits: dict[str, list[Example]]) -> None:
    backwards = {schema.name: setup_script(schema, backwards=True) for schema in SCHEMAS}

    for example in (example for split in splits.values() for example in split):
        if not example.extra["writes"]:
            turned = Example(
                id="x",
                messages=(),
                answer=example.answer,
                extra={**example.extra, "setup": backwards[str(example.extra["schema"])]},
            )
            forwards, other = rows_returned(example), rows_returned(turned)
            key = (lambda rows: rows) if example.extra["ordered"] else (lambda rows: sorted(rows, key=repr))
            assert key(forwards) == key(other), example.answer


def test_answers_are_written_in_one_style(splits: dict[str, list[Example]]) -> None:
    for example in (example for split in splits.values() for example in split):
        assert example.answer.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}
        assert not set('[]{};"\n') & set(example.answer)
        assert (" JOIN " in example.answer) == (" ON " in example.answer)
        assert example.extra["writes"] == (not example.answer.startswith("SELECT"))


def test_literals_of_the_answer_stand_in_the_question(splits: dict[str, list[Example]]) -> None:
    for example in splits["train"]:
        if example.extra["pattern"] in {"count_in_month", "per_year"}:  # a month is written as a word
            continue
        literals = [part.strip("%") for part in example.answer.split("'")[1::2]]
        assert all(literal in question(example) for literal in literals), example.answer


def test_prompts_are_short(splits: dict[str, list[Example]]) -> None:
    lengths = [len(message.content) for example in splits["train"] for message in example.messages]

    assert all(example.messages[0].content == SYSTEM_PROMPT for example in splits["train"])
    assert sum(lengths) / SIZE < 200  # characters, system and user message together
    assert sum(len(example.answer) for example in splits["train"]) / SIZE < 75


def test_forty_percent_easy_forty_medium_twenty_hard(splits: dict[str, list[Example]]) -> None:
    for examples in splits.values():
        counts = Counter(LEVELS[str(example.extra["pattern"])] for example in examples)
        assert counts == {"easy": 160, "medium": 160, "hard": 80}


def test_a_third_of_each_novelty_outside_training(splits: dict[str, list[Example]]) -> None:
    assert {example.extra["novelty"] for example in splits["train"]} == {"none"}
    for name in ("validation", "test"):
        counts = Counter(example.extra["novelty"] for example in splits[name])
        assert counts == {"schema": 134, "phrasing": 133, "combination": 133}


def test_what_is_new_in_validation_and_test_is_never_in_training(splits: dict[str, list[Example]]) -> None:
    known = {(example.extra["pattern"], example.extra["schema"]) for example in splits["train"]}
    schemas = {schema for _, schema in known}
    new_schemas = {}
    for name in ("validation", "test"):
        by_novelty = {
            novelty: {
                (example.extra["pattern"], example.extra["schema"])
                for example in splits[name]
                if example.extra["novelty"] == novelty
            }
            for novelty in ("schema", "combination")
        }
        new_schemas[name] = {schema for _, schema in by_novelty["schema"]}
        assert not new_schemas[name] & schemas
        assert not by_novelty["combination"] & known
        assert {schema for _, schema in by_novelty["combination"]} <= {schema.name for schema in TRAIN_SCHEMAS}

    assert len(new_schemas["validation"]) >= 2
    assert len(new_schemas["test"]) >= 2
    assert not new_schemas["validation"] & new_schemas["test"]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_held_out_phrasings_are_not_trained_on(pattern: Pattern) -> None:
    trained = set(allot(pattern, "train", "none").phrasings)
    validation = set(allot(pattern, "validation", "phrasing").phrasings)
    test = set(allot(pattern, "test", "phrasing").phrasings)

    assert len(trained) >= 3
    assert len(validation) == len(test) == 1
    assert not trained & validation
    assert not trained & test
    assert not validation & test


def test_no_question_comes_twice_in_or_across_splits(splits: dict[str, list[Example]]) -> None:
    asked = {name: [question(example) for example in examples] for name, examples in splits.items()}

    for questions in asked.values():
        assert len(questions) == len(set(questions))
    for one, other in combinations(asked.values(), 2):
        assert not set(one) & set(other)


def test_examples_of_a_schema_share_one_setup_string(splits: dict[str, list[Example]]) -> None:
    setups = {id(example.extra["setup"]) for split in splits.values() for example in split}

    assert len(setups) == len(SCHEMAS)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), short=st.integers(0, 20), more=st.integers(0, 20), others=st.integers(0, 5))
def test_a_longer_split_begins_with_the_shorter_one(seed: int, short: int, more: int, others: int) -> None:
    small = generate(n_train=short, n_validation=short, n_test=others, seed=seed)
    large = generate(n_train=short + more, n_validation=short + more, n_test=0, seed=seed)

    assert large["train"][:short] == small["train"]
    assert large["validation"][:short] == small["validation"]


def test_another_seed_asks_other_questions() -> None:
    one, other = (generate(n_train=20, n_validation=0, n_test=0, seed=seed)["train"] for seed in (0, 1))

    assert one != other
    assert [example.id for example in one] == [example.id for example in other]


def test_the_first_question_of_seed_zero_stays_what_it_is(splits: dict[str, list[Example]]) -> None:
    first = splits["train"][0]

    assert first.id == "train-00000"
    # A change here means that scores from before can no longer be compared with scores from now.
    assert question(first) == "What is the name of the plant with the lowest height?"
    assert first.answer == "SELECT name FROM plants ORDER BY height LIMIT 1"


def test_more_examples_than_questions_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    average = next(pattern for pattern in PATTERNS if pattern.name == "average")
    module = importlib.import_module("tune.data.text_to_sql.generate")  # the package exports a function of that name
    monkeypatch.setattr(module, "PATTERNS", (average,))
    monkeypatch.setattr(module, "LEVEL_CYCLE", ("easy",))

    with pytest.raises(DataError, match=r"cannot make 5000 different train questions .* Ask for \d+ or fewer"):
        generate(n_train=5000, n_validation=0, n_test=0, seed=0)
