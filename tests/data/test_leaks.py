"""Training rows that stand in what is tested: word for word, in part, or nearly; and what is no leak."""

import pytest

from tests.data.plant import chat
from tune.config.data import CleanRowsConfig
from tune.data.leaks import find_leaks
from tune.examples import Example, Message

CLEAN = CleanRowsConfig(similarity=0.9, ngram=2)
SAID = "the quick brown fox jumps over the lazy dog and then it runs far away"  # 15 words


def leaks(train: list[Example], *held_out: Example | str, ngram: int = 13) -> list[tuple[int, str]]:
    return find_leaks(train, {"test": held_out}, ngram=ngram, clean=CLEAN)


def test_a_test_question_with_another_answer_is_a_leak_and_it_is_said_where_it_stands() -> None:
    train = [chat("where is it?"), chat("Where  is my CARD", "here")]

    assert leaks(train, chat("where is my card?", "there", id="test.csv/12")) == [(1, "test: test.csv/12")]


@pytest.mark.parametrize(("n_words", "expected"), [(12, []), (13, [(0, "test: text 1")])])
def test_thirteen_words_in_a_row_are_a_leak_and_twelve_are_not(n_words: int, expected: list) -> None:
    shared = " ".join(SAID.split()[:n_words])

    assert leaks([chat(f"well {shared} or so they say")], f"it is told that {shared} every day") == expected


def test_a_text_that_stands_in_an_answer_is_a_leak() -> None:
    assert leaks([chat("say something", SAID)], f"once {SAID}") == [(0, "test: text 1")]


def test_thirteen_words_divided_between_two_turns_are_no_leak() -> None:
    first, second = SAID.split()[:7], SAID.split()[7:]

    assert leaks([chat(" ".join(first), " ".join(second))], f"once {SAID}") == []


def test_two_questions_may_share_a_long_answer() -> None:
    assert leaks([chat("what does the fox do?", SAID)], chat("and the dog, what of it?", SAID)) == []


def test_a_question_with_two_words_changed_is_a_leak() -> None:
    nearly = SAID.replace("brown", "red").replace("lazy", "old")

    assert leaks([chat(nearly)], chat(SAID, id="test.csv/3")) == [(0, "test: test.csv/3")]


@pytest.mark.parametrize(("answer", "n_leaks"), [("gladly", 1), ("no", 0)])
def test_two_words_leak_only_with_their_answer(answer: str, n_leaks: int) -> None:
    assert len(leaks([chat("Go on!", answer)], chat("go on", "Gladly"))) == n_leaks


def test_a_test_question_in_an_earlier_turn_is_a_leak_but_a_few_words_there_are_not() -> None:
    def train(first: str) -> Example:
        turns = (Message(role="user", content=first), Message(role="assistant", content="so"))
        return Example(id=first, messages=(*turns, Message(role="user", content="and why?")), answer="because")

    assert len(leaks([train("how do i activate my card?")], chat("How do I activate my card"))) == 1
    assert leaks([train("tell me more now")], chat("tell me more now")) == []


def test_system_messages_are_left_out() -> None:
    train = [chat("where is my card?", system=SAID)]

    assert leaks(train, chat("where is my money?", system=SAID)) == []
    assert len(leaks(train, chat("where is my card?", system="another"))) == 1


def test_an_instruction_that_many_rows_share_is_no_leak_but_what_stands_after_it_is() -> None:
    head = f"{SAID}; now say what comes next in this tale of many words: "
    train = [chat(f"{head} number {n} of thing {n * n} in box {n + 7}") for n in range(100)]

    assert leaks(train, chat(f"{head} number 500 of thing 9 in box 3", id="new")) == []
    assert leaks(train, chat(f"{head} number 9 of thing 81 in box 16", id="old")) == [(9, "test: old")]


def test_a_question_that_many_rows_ask_leaks_only_with_its_answer() -> None:
    train = [chat("write a poem please", f"poem {n}", id=str(n)) for n in range(100)]

    assert leaks(train, chat("write a poem please", "poem 7", id="t")) == [(7, "test: t")]


def test_the_first_place_is_named_and_several_held_out_sets_are_looked_through() -> None:
    train = [chat("where is my card?"), chat("what is the time?"), chat("who are you now?")]
    held_out = {"validation": [chat("where is my card?", id="v")], "test": [chat("what is the time?", id="t")]}

    found = find_leaks(train, {**held_out, "general/probe": ["who are you now"]}, ngram=13, clean=CLEAN)

    assert found == [(0, "validation: v"), (1, "test: t"), (2, "general/probe: text 1")]


def test_nothing_held_out_or_nothing_to_train_on_leaks_nothing() -> None:
    assert leaks([]) == leaks([chat("where is my card?")]) == leaks([], chat("where is my card?")) == []
