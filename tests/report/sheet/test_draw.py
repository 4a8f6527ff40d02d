"""What comes on a blind sheet: a fair draw, sides like coins, identical replies counted and not shown."""

import math
from collections import Counter
from itertools import pairwise

import pytest

from tests.report.sheet.sides import asked, config, plain, sides
from tune.errors import EvaluationError
from tune.report.sheet.draw import draw_sheet, shown
from tune.report.sheet.page import page
from tune.report.sheet.write import table


def test_the_key_says_on_which_side_the_trial_stands() -> None:
    sheet, key = draw_sheet(plain(9), config())

    assert len(sheet.items) == len(key.items) == 9
    for item in sheet.items:
        placed = key.items[item.id]
        number = placed.example.removeprefix("row/")
        trial, base = (item.a, item.b) if placed.trial == "A" else (item.b, item.a)
        assert (trial, base) == (f"trial {number}", f"base {number}")


def test_the_same_seed_gives_the_same_sheet_and_another_one_another() -> None:
    first, again, other = (draw_sheet(plain(20), config(seed=seed)) for seed in (1, 1, 2))

    assert first == again
    assert first[0].digest != other[0].digest
    assert [one.example for one in first[1].items.values()] != [one.example for one in other[1].items.values()]


def test_over_many_seeds_each_question_stands_on_each_side_and_in_each_place_as_often_as_coins_and_lots_say() -> None:
    n_seeds, n = 400, 10
    left, first = Counter(), Counter()
    for seed in range(n_seeds):
        _, key = draw_sheet(plain(n), config(seed=seed, n=5))
        for place, placed in enumerate(key.items.values()):
            left[placed.example, "shown"] += 1
            left[placed.example, "left"] += placed.trial == "A"
            first[placed.example] += place == 0

    for number in range(n):
        n_shown = left[f"row/{number}", "shown"]
        # Five standard deviations of a binomial: 5 of 10 are shown, one of 10 comes first, half stand left.
        assert abs(n_shown - n_seeds / 2) < 5 * math.sqrt(n_seeds / 4)
        assert abs(first[f"row/{number}"] - n_seeds / 10) < 5 * math.sqrt(n_seeds * 0.09)
        assert abs(left[f"row/{number}", "left"] - n_shown / 2) < 5 * math.sqrt(n_shown / 4)


def test_sides_of_neighbours_do_not_go_together() -> None:
    equal = pairs = 0
    for seed in range(200):
        _, key = draw_sheet(plain(10), config(seed=seed))
        places = [placed.trial for placed in key.items.values()]
        equal += sum(one == other for one, other in pairwise(places))
        pairs += len(places) - 1

    assert abs(equal - pairs / 2) < 5 * math.sqrt(pairs / 4)


def test_ids_are_numbers_after_the_digest_of_what_is_seen() -> None:
    sheet, _ = draw_sheet(plain(12), config())

    assert [item.id for item in sheet.items] == [f"s{sheet.digest}-{number:02d}" for number in range(1, 13)]


def test_a_sheet_is_the_same_to_the_last_letter_whoever_replied_what() -> None:
    ours = sides([asked(number, f"x{number}", f"y{number}") for number in range(3)])
    theirs = sides([asked(number, f"y{number}", f"x{number}") for number in range(3)])
    sheet, key = draw_sheet(ours, config(seed=0))

    drawn = (draw_sheet(theirs, config(seed=seed)) for seed in range(2000))
    other, other_key = next((one, its) for one, its in drawn if one.digest == sheet.digest)

    assert (table(other), page(other)) == (table(sheet), page(sheet))
    assert not [one for one in key.items if key.items[one].trial == other_key.items[one].trial]


def test_trials_that_reply_alike_have_sheets_of_their_own() -> None:
    pairs = [asked(number, f"x{number}", f"y{number}") for number in range(3)]
    several = [sides(pairs), sides(pairs, trial=4), sides(pairs, against="4"), sides(pairs, form="deployed")]
    sheets = [draw_sheet(one, config())[0] for one in several]

    assert len({sheet.digest for sheet in sheets}) == 4
    assert len({tuple((item.question, item.a, item.b) for item in sheet.items) for sheet in sheets}) == 1


def test_identical_replies_are_not_shown_and_counted() -> None:
    pairs = [asked(0, "same", "same"), asked(1, "same \n", "same"), asked(2, "a\r\nb", "a\nb"), asked(3, "a", "b")]
    sheet, key = draw_sheet(sides(pairs), config())

    assert [one.example for one in key.items.values()] == ["row/3"]
    assert len(sheet.items) == 1
    assert (key.same, key.n_all) == (("row/0", "row/1", "row/2"), 4)


def test_nothing_to_rate_is_said() -> None:
    with pytest.raises(EvaluationError, match="trial 3 and the base gave the same reply to all 1 questions"):
        draw_sheet(sides([asked(0, "same", "same")]), config())


def test_the_right_answer_is_shown_only_where_it_is_asked_for() -> None:
    without, _ = draw_sheet(plain(3), config())
    shown_, _ = draw_sheet(plain(3), config(show_answer=True))

    assert {item.answer for item in without.items} == {None}
    assert {item.answer for item in shown_.items} == {"right 0", "right 1", "right 2"}


def test_what_a_page_cannot_hold_is_shown_as_such() -> None:
    assert shown("a\r\nb\rc\td\x00\ud800\x85e") == "a\nb\nc\td\ufffd\ufffd\ufffde"
