"""What is a reply that is stuck, and what only looks like one."""

import pytest

from tune.evaluate.loops import is_loop

SENTENCE = "The capital of France is Paris. "  # 32 characters


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE * 3,
        "Sure! " + SENTENCE * 3 + "The capital of",  # cut off in the fourth copy
        SENTENCE * 3 + "That is all there is to say about it.",  # it came out of it again
        "The Capital of France\nis PARIS.  the capital of france is paris. " + SENTENCE,
        "1. a river in France\n2. a river in France\n3. a river in France\n",
        "- a river in France\n- a river in France\n- a river in France",
        "no " * 20,
        "0" * 64,
        "!" * 64,
        "哈哈" * 32,
        "SELECT a FROM t WHERE x = 1" + " AND x = 1" * 12,
        "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]",
    ],
)
def test_a_loop(text: str) -> None:
    assert is_loop(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n" * 60,
        "a",
        SENTENCE * 2,  # two copies are emphasis
        SENTENCE + "The capital of Italy is Rome. " + SENTENCE * 2,
        "That is a very, very, very, very good idea.",  # "very, " four times takes 24 characters
        "no " * 13,  # 39 characters
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20",
        "1. a river in France\n2. a river in Spain\n3. a river in Italy\n4. a river in Greece",
        "row 1 is full\nrow 2 is full\nrow 3 is full\nrow 4 is full\nrow 5 is full",
        "| a | b | c | d | e | f | g | h |\n|" + " --- |" * 8 + "\n| 1 | 2 | 3 | 4 | 5 | 6 | 7 | no more than these |",
        "Chapter one\n" + "=" * 45 + "\nIt was a bright morning, and nobody was at the harbour but the two gulls.",
    ],
)
def test_no_loop(text: str) -> None:
    assert not is_loop(text)


def test_three_copies_of_fourteen_characters_are_the_least_of_their_kind() -> None:
    # "a river here, " is 14 characters; three copies take 42; of 13 characters they take 39.
    assert is_loop("a river here, " * 3)
    assert not is_loop("a river her, " * 3)


def test_a_piece_of_four_hundred_characters_is_the_longest_that_is_looked_for() -> None:
    words = " ".join(str(number) for number in range(1000, 1080))  # 80 times 4 digits and 79 spaces between

    assert is_loop(f"{words} " * 3)
    assert not is_loop(f"{words}!! " * 3)


def test_half_of_a_pair_is_a_character_like_others() -> None:
    assert is_loop("\ud83d" * 50)
