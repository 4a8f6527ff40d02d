"""What cleaning takes out, what it leaves, and what it says about it; on real questions with planted faults too."""

import dataclasses
import random
from pathlib import Path

import pytest

from tests.data.plant import chat, copied, length, two_words_changed
from tune.config.data import CleanRowsConfig, Script
from tune.data.clean import clean_rows
from tune.data.leaks import find_leaks
from tune.data.public_sets import read_banking77
from tune.data.similar import LEAST_WORDS
from tune.errors import DataError
from tune.examples import Example, Message

CLEAN = CleanRowsConfig(similarity=0.9, ngram=2)


def took(row: Example, **settings) -> dict[str, int]:
    """What each step took of a row and of a good one beside it."""
    cleaned = clean_rows([row, chat("is this good?", "yes, it is")], dataclasses.replace(CLEAN, **settings))
    return {step.step: step.count for step in cleaned.taken if step.count}


@pytest.mark.parametrize(
    "sign", ["\x00", "\x1b", "\x7f", "\x85", "\ufffd", chr(0xD800), "\ufdd0", "\uffff", "\U0001fffe"]
)
@pytest.mark.parametrize("place", ["system", "question", "answer"])
def test_a_sign_that_no_text_should_have_takes_the_row_from_any_turn(sign: str, place: str) -> None:
    texts = {"system": "be good", "question": "is é it?", "answer": "yes"}
    texts[place] += sign

    row = chat(texts["question"], texts["answer"], system=texts["system"])

    assert took(row) == {"broken text": 1}
    assert took(row, broken_text=False) == {}


@pytest.mark.parametrize("text", ["a\tb\r\nc", "क्‍ष", "👩‍👩‍👧", "\u200fשל", "\u2028", "\U0001d4b3"])
def test_tabs_joiners_and_direction_marks_are_text(text: str) -> None:
    assert took(chat(text)) == {}


@pytest.mark.parametrize("answer", ["", " \n\t", "\u00a0"])
def test_an_answer_of_white_space_goes(answer: str) -> None:
    assert took(chat("is it?", answer)) == {"empty answers": 1}


def test_an_empty_turn_of_the_assistant_in_the_middle_goes_too() -> None:
    turns = [("user", "is it?"), ("assistant", " "), ("user", "well?")]
    row = Example(id="a", messages=tuple(Message(role=role, content=text) for role, text in turns), answer="yes")

    assert took(row) == {"empty answers": 1}


@pytest.mark.parametrize(
    ("question", "answer", "goes"),
    [
        ("Where is my card?", "where is  MY card?", True),
        ("Where is my new card?", "Where is my new card? It is on its way.", True),
        ("Is it?", "Is it? I doubt that.", False),  # four words or fewer may begin an answer
        ("Name five colours of flags", "Name five colours of flagships", False),
        ("Where is my card?", "On its way.", False),
    ],
)
def test_an_answer_that_repeats_the_prompt_goes(question: str, answer: str, goes: bool) -> None:
    assert took(chat(question, answer)) == ({"answers that repeat the prompt": 1} if goes else {})


def test_words_of_question_and_answer_are_counted_together() -> None:
    row = chat("one two three", "four five", system="six seven eight")

    assert took(row, min_words=6, max_words=None) == {"too few words": 1}
    assert took(row, min_words=5, max_words=5) == {"too many words": 1}  # the good row has six


@pytest.mark.parametrize(
    ("script", "text", "stays"),
    [
        (Script.latin, "hello", True),
        (Script.latin, "ｈｅｌｌｏ", True),  # noqa: RUF001 - full width
        (Script.latin, "привет", False),
        (Script.latin, "привет, my friend", True),
        (Script.latin, "12 + 3 = 15", True),
        (Script.cyrillic, "hello", False),
        (Script.greek, "ζήτα", True),
        (Script.arabic, "مرحبا", True),
        (Script.hebrew, "שלום", True),
        (Script.devanagari, "नमस्ते", True),
        (Script.hangul, "안녕하세요", True),
        (Script.cjk, "你好吗", True),
        (Script.hiragana, "東京へ行きます", True),
        (Script.hiragana, "你好吗", False),  # Chinese has no kana
        (Script.hiragana, "コーヒー", True),
    ],
)
def test_half_of_the_letters_must_be_of_the_script(script: Script, text: str, stays: bool) -> None:
    settings = dataclasses.replace(CLEAN, script=script, repeated_prompts=False)

    cleaned = clean_rows([chat(text, text), chat("1", "2")], settings)

    assert len(cleaned.rows) == 1 + stays


@pytest.mark.parametrize(
    "mark", ["<|im_start|>", "<|eot_id|>", "<\uff5cUser\uff5c>", "<end_of_turn>", "[/INST]", "<<SYS>>"]
)
def test_a_row_that_a_template_was_applied_to_goes(mark: str) -> None:
    assert took(chat(f"{mark}user\nis it?", "yes")) == {"marks of a chat template": 1}
    assert took(chat("is it?", f"yes{mark}")) == {"marks of a chat template": 1}
    assert took(chat("is it?", f"yes{mark}"), chat_marks=False) == {}


@pytest.mark.parametrize("text", ["a <| b |> c", "x |> f <| y", "list[INSTANCE]", "<s>gone</s>", "1 << 2", "<|>"])
def test_what_only_looks_like_a_mark_stays(text: str) -> None:
    assert took(chat("is it?", text)) == {}


def test_every_step_is_listed_with_its_setting_also_when_it_took_nothing() -> None:
    cleaned = clean_rows([chat("is it?", "yes")], dataclasses.replace(CLEAN, min_words=1))

    assert [(step.step, step.setting, step.count) for step in cleaned.taken] == [
        ("broken text", "data.clean.broken_text", 0),
        ("marks of a chat template", "data.clean.chat_marks", 0),
        ("empty answers", "data.clean.empty_answers", 0),
        ("too few words", "data.clean.min_words", 0),
        ("answers that repeat the prompt", "data.clean.repeated_prompts", 0),
        ("exact duplicates", "data.clean.exact_duplicates", 0),
        ("near-duplicates", "data.clean.near_duplicates", 0),
    ]


def test_near_duplicates_that_are_kept_share_a_cluster() -> None:
    said = "i would like to know why my card was declined at the shop {}"
    rows = [chat("something else"), chat(said.format("today")), chat(said.format("yesterday"))]

    kept = clean_rows(rows, dataclasses.replace(CLEAN, near_duplicates=False))
    removed = clean_rows(rows, CLEAN)

    assert kept.clusters == [0, 1, 1]
    assert (len(removed.rows), len(set(removed.clusters))) == (2, 2)


def test_rows_keep_their_order_and_progress_ends_where_it_should() -> None:
    rows = [chat(f"question {n}?", f"answer {n}") for n in range(20)]
    told = []

    cleaned = clean_rows(rows, CLEAN, on=lambda *what: told.append(what))

    assert cleaned.rows == rows
    assert all(0 <= done <= total for _, done, total in told)


def test_when_nothing_is_left_the_error_says_which_step_took_how_many() -> None:
    rows = [chat("a", "", id="rows.jsonl/1"), chat("b", " ", id="rows.jsonl/2"), chat("c", "\x00", id="rows.jsonl/3")]

    with pytest.raises(DataError) as caught:
        clean_rows(rows, CLEAN)

    assert str(caught.value) == (
        "cleaning left none of the 3 rows: broken text 1 (data.clean.broken_text), empty answers 2 "
        "(data.clean.empty_answers). The first was rows.jsonl/3: U+0000 in a turn of the assistant. "
        "Mend the rows, or change or turn off the setting that took them."
    )


def test_no_rows_are_no_mistake_of_cleaning() -> None:
    assert clean_rows([], CLEAN).rows == []


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_duplicates_and_leaks_among_real_questions_are_found_and_hardly_any_other_row_is_lost(
    shared_data: Path, seed: int
) -> None:
    """300 rows copied, 200 copied with two words changed, 50 test questions put among 10,003 training rows.

    Two words are changed in rows of LEAST_WORDS or more: of the shorter ones, which are two thirds, 27 % have a
    neighbour of the same intent that differs in two words by nature, so that no measure could take the planted
    ones and leave 99 % of the others.
    """
    train, test = (read_banking77(shared_data / "banking77" / f"{name}.csv") for name in ("train", "test"))
    rng = random.Random(seed)
    same = rng.sample(train, 300)
    nearly = rng.sample([row for row in train if length(row) >= LEAST_WORDS], 200)
    leaked = copied(rng.sample(test, 50), "leak")
    planted = [*copied(same, "exact"), *two_words_changed(nearly, "near", rng), *leaked]
    rows = rng.sample([*train, *planted], len(train) + len(planted))

    cleaned = clean_rows(rows, CLEAN)
    leaks = find_leaks(cleaned.rows, {"test": test}, ngram=13, clean=CLEAN)

    kept = {row.id for row in cleaned.rows}
    assert not [row for row in same if {row.id, f"exact/{row.id}"} <= kept]
    assert len([row for row in nearly if {row.id, f"near/{row.id}"} <= kept]) <= 10
    found = {cleaned.rows[at].id for at, _ in leaks}
    assert not {row.id for row in leaked} & (kept - found)
    untouched = {row.id for row in train} - {row.id for row in [*same, *nearly]}
    assert len(untouched - kept) <= len(train) // 100
    # the published training file holds real leaks as well, each of them said to be one
    assert len(found & untouched) <= len(train) // 100
