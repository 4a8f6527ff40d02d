"""Votes as raters send them back, whole, in part, and wrong in every way."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.sheet.sides import HOSTILE, asked, config, plain, sides
from tune.config.schema import ReportFormat
from tune.errors import EvaluationError
from tune.report.command import read_votes
from tune.report.sheet.draw import draw_sheet
from tune.report.sheet.key import Key, find_keys, write_key
from tune.report.sheet.write import write_sheet
from tune.report.votes.count import Tally, count
from tune.report.votes.keep import keep_votes
from tune.report.votes.read import Choice, read_ballots

Keys = dict[str, tuple[Key, Path]]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A study with one sheet of ten hostile questions, beside it in files."""
    pairs = [asked(n, text, f"calm {n}", question=f'Q, "{n}";\n=1') for n, text in enumerate(HOSTILE)]
    sheet, key = draw_sheet(sides(pairs), config())
    write_sheet(sheet, tmp_path)
    write_key(key, tmp_path / "trials" / "0003")
    return find_keys(tmp_path)


def only(keys: Keys) -> Key:
    ((key, _),) = keys.values()
    return key


def filled(table: Path, votes: list[str], *, to: Path, delimiter: str = ",") -> Path:
    """Fill in a sheet's column as a spreadsheet would, and return the file."""
    with table.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, vote in zip(rows, votes, strict=False):
        row["vote"] = vote
    with to.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return to


def saved(to: Path, sheet: str, pairs: list[tuple[str, str]], **more: Any) -> Path:
    """Write what the page's button saves."""
    plain = [{"id": one, "vote": vote, "comment": ""} for one, vote in pairs]
    to.write_text(json.dumps({"sheet": sheet, "rater": "", "votes": plain} | more))
    return to


def test_a_table_comes_back_with_any_separator_and_case(keys: Keys, tmp_path: Path) -> None:
    words = ["A", "b ", "TIE", "Both Bad", "", "a better"]
    for n, separator in enumerate(",;\t"):
        file = filled(tmp_path / "sheet.csv", words, to=tmp_path / f"{n}.csv", delimiter=separator)
        (ballot,), (key, folder) = read_ballots([file], keys)

        ids = list(key.items)
        expected = [Choice.a, Choice.b, Choice.tie, Choice.both_bad, Choice.a]
        assert ballot.votes == dict(zip(ids[:4] + ids[5:6], expected, strict=True))
        assert ballot.rater == str(file)
        assert folder == tmp_path / "trials" / "0003"


def test_what_the_page_saves_comes_back_with_its_comments(keys: Keys, tmp_path: Path) -> None:
    ids = list(only(keys).items)
    votes = [{"id": ids[0], "vote": "A", "comment": " good "}, {"id": ids[1], "vote": "", "comment": "unsure"}]
    file = saved(tmp_path / "v.json", only(keys).sheet, [], rater=" Ann ", votes=votes)

    (ballot,), _ = read_ballots([file], keys)

    assert (ballot.rater, ballot.votes) == ("Ann", {ids[0]: Choice.a})
    assert ballot.comments == {ids[0]: "good", ids[1]: "unsure"}


def test_votes_for_the_trials_side_are_wins_whichever_it_is(keys: Keys, tmp_path: Path) -> None:
    key = only(keys)
    assert {placed.trial for placed in key.items.values()} == {"A", "B"}
    wins = [placed.trial for placed in key.items.values()]

    file = filled(tmp_path / "sheet.csv", wins, to=tmp_path / "a.csv")
    other = saved(
        tmp_path / "b.json", key.sheet, [(one, "BA"[placed.trial == "B"]) for one, placed in key.items.items()]
    )
    ballots, _ = read_ballots([file, other], keys)
    counted = count(ballots, key)

    assert counted.raters[0].tally == Tally(win=10, loss=0, tie=0, both_bad=0)
    assert counted.raters[1].tally == Tally(win=0, loss=10, tie=0, both_bad=0)
    assert counted.questions == Tally(win=0, loss=0, tie=10, both_bad=0)


def refused(files: list[Path], keys: Keys) -> str:
    with pytest.raises(EvaluationError) as error:
        read_ballots(files, keys)
    return str(error.value)


def test_everything_wrong_in_all_files_is_said_at_once(keys: Keys, tmp_path: Path) -> None:
    key = only(keys)
    one, two, *_ = key.items
    first = saved(tmp_path / "a.json", key.sheet, [(one, "A"), (one, "B"), ("s0-77", "A"), (two, "C")])
    second = filled(tmp_path / "sheet.csv", ["", "maybe"], to=tmp_path / "b.csv")

    text = refused([first, second], keys)

    assert f"a.json, vote 2: {one} was voted on before in this file; keep one of the two." in text
    assert "a.json, vote 3: s0-77 is no id of the sheet." in text
    assert f"a.json, vote 4 ({two}): C is no vote; write A, B, tie, both bad, or nothing." in text
    assert f"b.csv, row 3 ({two}): maybe is no vote" in text, "the heading is a spreadsheet's row 1"


def test_votes_of_another_sheet_name_those_of_this_study(keys: Keys, tmp_path: Path) -> None:
    other, other_key = draw_sheet(plain(4), config(seed=3))
    table, _ = write_sheet(other, tmp_path / "other")
    strange = filled(table, ["A"], to=tmp_path / "strange.csv")
    own = saved(tmp_path / "own.json", only(keys).sheet, [(next(iter(only(keys).items)), "A")])

    text = refused([strange], keys)
    assert f"strange.csv is of another sheet, {other.digest}. This study has {only(keys).sheet}." in text
    assert "This study has none: make one with `sheet`." in refused([strange], {})

    both = keys | {other.digest: (other_key, tmp_path)}
    assert f"strange.csv is of the sheet {other.digest} and" in refused([own, strange], both)


def test_a_file_without_a_vote_is_named(keys: Keys, tmp_path: Path) -> None:
    text = refused([tmp_path / "sheet.csv"], keys)

    assert text.endswith("sheet.csv holds no vote: leave it out, or fill it in.")


def test_two_files_of_one_rater_are_refused(keys: Keys, tmp_path: Path) -> None:
    first, second = (saved(tmp_path / f"{n}.json", only(keys).sheet, [], rater="Ann") for n in (1, 2))

    assert "1.json and" in refused([first, second], keys)
    assert "2.json are both of the rater Ann: give one of them." in refused([first, second], keys)
    unnamed = saved(tmp_path / "3.json", only(keys).sheet, [])
    assert "are both of the rater" in refused([unnamed, unnamed], keys)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is no file of votes: Expecting property name"),
        (b'{"votes": 3}', "it lacks votes (a list), rater or sheet (texts)"),
        (b'{"sheet": "x", "votes": ["A"]}', "a vote must be an object with id and vote"),
        (b"", "its first line needs the columns id and vote, and has none"),
        (b"id,reply\n", "and has id, reply"),
        (b"id,vote\nq1,A\n", "no id in it is that of a sheet"),
        ("id,vote\nä,A\n".encode("latin-1"), "is no UTF-8 text: save it as CSV UTF-8"),
    ],
)
def test_a_file_that_holds_no_votes_is_named(keys: Keys, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content)

    text = refused([tmp_path / "bad.csv"], keys)

    assert "bad.csv" in text
    assert said in text


def test_a_file_that_is_not_there_is_named(keys: Keys, tmp_path: Path) -> None:
    assert f"{tmp_path / 'nowhere'} cannot be read (No such file or directory)." in refused(
        [tmp_path / "nowhere"], keys
    )


def test_long_lists_of_mistakes_are_counted(keys: Keys, tmp_path: Path) -> None:
    file = saved(tmp_path / "a.json", only(keys).sheet, [(f"q{n}", "A") for n in range(30)])

    assert refused([file], keys).endswith("vote 8: q7 is no id of the sheet. And 22 more.")


def test_what_is_kept_says_what_each_rater_found_on_each_example(
    keys: Keys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = only(keys)
    first, second, *_ = key.items
    loss = "B" if key.items[second].trial == "A" else "A"
    votes = [
        {"id": first, "vote": key.items[first].trial, "comment": "clear"},
        {"id": second, "vote": loss, "comment": ""},
    ]
    file = saved(tmp_path / "a.json", key.sheet, [], rater="Ann", votes=votes)
    keep_votes({"kept": "before"}, "ffffffff", tmp_path / "trials" / "0003")
    read_votes(tmp_path, [file], ReportFormat.json)

    kept = json.loads((tmp_path / "trials" / "0003" / "votes.json").read_text())
    assert json.loads(capsys.readouterr().out) == kept[key.sheet]
    assert kept["ffffffff"] == {"kept": "before"}
    mine = kept[key.sheet]
    assert (mine["trial"], mine["against"], mine["split"], mine["n_all"], mine["n_same"]) == (3, "base", "test", 10, 0)
    assert mine["questions"] == {"win": 1, "loss": 1, "tie": 0, "both_bad": 0}
    assert mine["raters"][0]["rater"] == "Ann"
    assert [one for one in mine["by_question"] if one["votes"] != [None]] == [
        {"id": first, "example": key.items[first].example, "votes": ["win"], "comments": ["clear"]},
        {"id": second, "example": key.items[second].example, "votes": ["loss"], "comments": [""]},
    ]
