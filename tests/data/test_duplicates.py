"""Rows that say the same: which are found, which stays, and that the order of the rows does not matter."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.plant import chat
from tune.config.data import CleanRowsConfig
from tune.data.clusters import Clusters
from tune.data.duplicates import exact_duplicates, near_duplicates
from tune.data.similar import Measure, near_texts
from tune.data.words import Vocabulary, common, fold, windows, words

CLEAN = CleanRowsConfig(similarity=0.9, ngram=2)
LONG = "i would like to know why my card was declined at the shop today"  # 14 words


def test_white_space_case_and_unicode_form_do_not_make_a_row_another() -> None:
    rows = [
        chat("Where is  my CARD?", id="a"),
        chat("where is my card?", id="b"),
        chat("\uff37here is my card?", id="c"),
    ]

    gone = exact_duplicates(rows)

    assert len(gone) == 2
    stays = ({0, 1, 2} - {at for at, _ in gone}).pop()
    assert {why for _, why in gone} == {f"says the same as {rows[stays].id}"}


@pytest.mark.parametrize(
    "other",
    [
        chat("where is my card?", "another answer"),
        chat("where is my card", "fine"),
        chat("where is my card?", "fine", system="You are a bank."),
    ],
    ids=["answer", "punctuation", "system"],
)
def test_a_row_with_another_answer_sign_or_system_message_is_another(other) -> None:
    assert exact_duplicates([chat("where is my card?"), other]) == []


@given(st.lists(st.sampled_from(["a b", "A  b", "a c", "ab"]), max_size=8), st.randoms(use_true_random=False))
def test_the_row_that_stays_does_not_depend_on_the_order(texts: list[str], rng: random.Random) -> None:
    rows = [chat(text, id=str(number)) for number, text in enumerate(texts)]
    mixed = rng.sample(rows, len(rows))

    one, two = exact_duplicates(rows), exact_duplicates(mixed)

    assert {(rows[at].id, why) for at, why in one} == {(mixed[at].id, why) for at, why in two}


@pytest.mark.parametrize(
    ("n_words", "similarity", "allowed"),
    [(11, 0.9, 0), (12, 0.9, 2), (29, 0.9, 2), (30, 0.9, 3), (60, 0.9, 6), (60, 1.0, 2)],
)
def test_two_words_or_a_tenth_of_a_long_text_may_differ(n_words: int, similarity: float, allowed: int) -> None:
    assert Measure(similarity=similarity, ngram=2).allowed(n_words) == allowed


def test_the_least_jaccard_similarity_of_near_texts_by_hand() -> None:
    # 12 words are 11 bigrams; two words changed change at most 4 of them: 7 shared of 7 + 4 + 4
    assert Measure(similarity=0.9, ngram=2).threshold() == pytest.approx(7 / 15)


def near(*rows) -> list[str]:
    """Ids of the rows that go."""
    return [rows[at].id for at, _ in near_duplicates(rows, CLEAN).gone]


def test_two_changed_words_of_fourteen_are_a_near_duplicate_and_three_are_not() -> None:
    two = LONG.replace("like", "love").replace("shop", "store")
    three = two.replace("today", "now")

    assert len(near(chat(LONG), chat(two))) == 1
    assert near(chat(LONG), chat(three)) == []


def test_short_questions_are_near_only_where_their_words_are_the_same() -> None:
    assert near(chat("how do i activate my card?"), chat("where do i activate my card?")) == []
    assert len(near(chat("how do i activate my card?"), chat("how do i activate my card", id="b"))) == 1


@pytest.mark.parametrize(("one", "two"), [("😀", "😡"), ("great 😀", "great 😡"), ("?", "...")])
def test_questions_that_differ_in_a_symbol_are_two_questions(one: str, two: str) -> None:
    assert near(chat(one), chat(two)) == []


def test_near_questions_with_different_labels_both_stay_but_share_a_cluster() -> None:
    rows = [chat(LONG, "card declined"), chat(LONG.replace("shop", "store"), "card stolen"), chat("something else")]

    found = near_duplicates(rows, CLEAN)

    assert found.gone == []
    assert found.clusters == [0, 0, 2]


def test_answers_that_differ_in_a_number_are_two_answers() -> None:
    answer = "so the man has {} apples left in the basket after he gave some away to her"

    assert near(chat(LONG, answer.format(5)), chat(LONG, answer.format(7))) == []
    assert len(near(chat(LONG, answer.format(5)), chat(LONG, answer.format(5).replace("basket", "bag")))) == 1


@pytest.mark.parametrize(("one", "two"), [("x[0]", "x(0)"), ("-5", "5"), ("a < b", "a > b")])
def test_short_answers_that_differ_in_a_sign_are_two_answers(one: str, two: str) -> None:
    assert near(chat(LONG, one), chat(LONG, two)) == []


def test_of_a_chain_of_near_rows_none_stays_beside_one_that_it_is_near() -> None:
    said = LONG.split()
    chain = []
    for step in range(6):  # each differs from the next in two words, from the one after it in four
        said = [*said]
        said[2 * step : 2 * step + 2] = [f"x{step}", f"y{step}"]
        chain.append(chat(" ".join(said), id=str(step)))

    gone = near(*chain)

    stay = [row for row in chain if row.id not in gone]
    assert 2 <= len(stay) <= 3
    assert all(abs(int(a.id) - int(b.id)) > 1 for a in stay for b in stay if a is not b)
    assert near_duplicates(chain, CLEAN).clusters == [0] * 6


def test_the_same_question_with_two_answers_is_noted() -> None:
    found = near_duplicates([chat("is it open?", "yes", id="a"), chat("Is it open", "no", id="b")], CLEAN)
    equal = near_duplicates([chat("is it open?", "yes", id="a"), chat("Is it open?", "no", id="b")], CLEAN)

    assert found.gone == equal.gone == []
    assert len(equal.contradictions) == 1
    assert equal.contradictions[0][1] in (
        "asks what a asks and answers otherwise",
        "asks what b asks and answers otherwise",
    )


def test_an_instruction_that_all_rows_share_makes_no_two_of_them_near() -> None:
    head = (
        "classify the message of this customer into one of the seventy seven intents of our bank and say nothing else "
    )
    rows = [chat(head + f"message number {n} about thing {n * n}", "lost card") for n in range(50)]

    found = near_duplicates(rows, CLEAN)

    assert found.gone == []
    assert len(set(found.clusters)) == 50


def test_a_crowd_of_near_rows_leaves_one_and_is_one_cluster() -> None:
    rows = [chat(f"{LONG} {n}", id=str(n)) for n in range(15)]  # fewer than make a template

    found = near_duplicates(rows, CLEAN)

    assert len(found.gone) == 14
    assert set(found.clusters) == {0}


def test_no_near_pair_is_missed_among_many_texts() -> None:
    rng = random.Random(0)
    texts = [tuple(rng.randrange(1, 2000) for _ in range(rng.randrange(12, 60))) for _ in range(600)]
    copies = []
    for text in texts[:300]:
        places = rng.sample(range(len(text)), 2)
        copies.append(tuple(2001 if place in places else word for place, word in enumerate(text)))

    found = near_texts([*texts, *copies], Measure(similarity=0.9, ngram=2))

    pairs = sum(600 + number in found.get(number, ()) for number in range(300))
    assert pairs >= 295  # MinHash may miss one in a hundred
    assert set(found) <= {*range(300), *range(600, 900)}


def together(rows: list, clusters: list[int]) -> set[frozenset[str]]:
    return {frozenset(row.id for row, own in zip(rows, clusters, strict=True) if own == one) for one in clusters}


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_near_duplicates_do_not_depend_on_the_order_of_the_rows(rng: random.Random) -> None:
    rows = [chat(" ".join(rng.choice("abc") for _ in range(13)), id=str(n)) for n in range(12)]
    mixed = rng.sample(rows, len(rows))

    one, two = near_duplicates(rows, CLEAN), near_duplicates(mixed, CLEAN)

    assert {(rows[at].id, why) for at, why in one.gone} == {(mixed[at].id, why) for at, why in two.gone}
    assert together(rows, one.clusters) == together(mixed, two.clusters)


def test_clusters_join_through_others() -> None:
    clusters = Clusters(5)

    clusters.join(3, 4)
    clusters.join(0, 3)

    assert clusters.numbers() == [0, 1, 2, 0, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't pay 3.50, or -2%!", ["i", "don't", "pay", "3.50", "or", "-2", "%"]),
        ("if a != b", ["if", "a", "!=", "b"]),
        ("你好 GPT", ["你", "好", "gpt"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ok 👍🏽 → x", ["ok", "👍", "🏽", "→", "x"]),
        ("Straße ﬁx", ["strasse", "fix"]),
    ],
)
def test_words_of_several_scripts(text: str, expected: list[str]) -> None:
    assert words(fold(text)) == [fold(word) for word in expected]


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_words_of_a_text_do_not_depend_on_what_stands_beside_it(one: str, two: str) -> None:
    one, two = fold(one), fold(two)  # hindi beside german, say, which are read by two patterns

    assert words(f"{one} {two}") == [*words(one), *words(two)]


def test_no_window_runs_over_the_end_of_a_text_or_turn() -> None:
    runs = windows([[1, 2, 3], [4], [5, 6, 0, 7, 8]], 2)

    assert list(zip(runs.rows.tolist(), runs.starts.tolist(), strict=True)) == [(0, 0), (0, 1), (2, 0), (2, 3)]
    assert windows([], 2).hashes.size == windows([[1]], 2).hashes.size == 0


def test_a_run_is_common_by_the_rows_that_have_it_not_by_how_often_one_row_says_it() -> None:
    vocabulary = Vocabulary()
    shared = [vocabulary.encode("answer the question") for _ in range(20)]
    own = [vocabulary.encode("go on " * 30)]

    runs = windows([*shared, *own], 2)

    assert set(common(runs, 21).tolist()) == set(runs.hashes[runs.rows == 0].tolist())
