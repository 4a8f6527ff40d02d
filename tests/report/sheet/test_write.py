"""The sheet as files: hostile texts stay texts, the page holds nothing of the network, the key stays apart."""

import base64
import csv
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.sheet.sides import HOSTILE, asked, config, plain, sides
from tune.errors import EvaluationError
from tune.report.sheet.draw import draw_sheet, shown
from tune.report.sheet.key import find_keys, write_key
from tune.report.sheet.page import page
from tune.report.sheet.write import write_sheet

OPEN = {"meta", "input", "link", "img", "br"}


class Reader(HTMLParser):
    """Keeps the tags with their attributes, the text of each box, and scripts and styles as they stand."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.boxes: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._path: list[str] = []
        self._box = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in OPEN:
            return
        self._path.append(tag)
        if ("class", "text") in attrs:
            self._box = len(self._path)
            self.boxes.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._path[-1] == tag, f"{tag} closes {self._path[-1]}"
        if len(self._path) == self._box:
            self._box = 0
        self._path.pop()

    def handle_data(self, data: str) -> None:
        if self._path and self._path[-1] in self.raw:
            self.raw[self._path[-1]].append(data)
        elif self._box:
            self.boxes[-1] += data


def hostile_page() -> tuple[Reader, str]:
    pairs = [asked(n, text, f"calm {n}", question=f"Q {text}") for n, text in enumerate(HOSTILE)]
    text = page(draw_sheet(sides(pairs), config())[0])
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader._path == []
    return reader, text


def test_hostile_replies_are_text_and_nothing_else() -> None:
    reader, _ = hostile_page()
    calm = Reader()
    calm.feed(page(draw_sheet(plain(len(HOSTILE)), config())[0]))

    empty = ("span", {"class": "none"})
    assert sorted(tag for tag, _ in reader.tags) == sorted([tag for tag, _ in calm.tags] + ["span"])
    assert reader.tags.count(empty) == 1, "the one empty reply"
    assert reader.raw == calm.raw, "no script and no style comes from data"
    for text in HOSTILE:
        assert (shown(text) or "(empty)") in reader.boxes
        assert f"Q {shown(text)}" in reader.boxes


def test_the_page_needs_no_network_and_allows_its_own_script_and_style_alone() -> None:
    reader, _ = hostile_page()

    for tag, attributes in reader.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        assert not attributes.keys() & {"src", "href", "action", "srcdoc", "style"}
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(one["content"] for _, one in reader.tags if one.get("http-equiv") == "Content-Security-Policy")
    (script,), (style,) = reader.raw["script"], reader.raw["style"]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{sha256(script)}'; style-src 'sha256-{sha256(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"https?://|innerHTML|eval|@import|url\(", script + style)


def sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_neither_file_says_who_replied(tmp_path: Path) -> None:
    pairs = [asked(number, f"x {number}", f"y {number}") for number in range(8)]
    ours = sides(pairs, study="secretive", trial=7654, against="4321")
    sheet, _ = draw_sheet(ours, config(seed=98765))

    for file in write_sheet(sheet, tmp_path):
        text = file.read_text(encoding="utf-8-sig")
        for word in ("secretive", "7654", "4321", "98765", "row/", "adapter", "base "):
            assert word not in text, f"{word} in {file.name}"
        assert "x 3" in text


def test_a_table_is_read_back_by_a_spreadsheets_rules_and_holds_no_formula(tmp_path: Path) -> None:
    pairs = [asked(n, text, f"calm {n}") for n, text in enumerate(HOSTILE)]
    sheet, _ = draw_sheet(sides(pairs), config(show_answer=True))
    table, _ = write_sheet(sheet, tmp_path)

    assert table.read_bytes().startswith(b"\xef\xbb\xbf"), "a spreadsheet is told that it is UTF-8"
    with table.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["id", "question", "right answer", "reply A", "reply B", "vote", "comment"]
    assert [row["id"] for row in rows] == [item.id for item in sheet.items]
    assert {row["vote"] for row in rows} == {""}
    replies = {row[side] for row in rows for side in ("reply A", "reply B")}
    formula, *others = (text for text in sorted(map(shown, HOSTILE), key=lambda text: not text.startswith("=")))
    assert f"'{formula}" in replies
    assert set(others) < replies
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("heading", ["vote", "Vote ", "comment"])
def test_a_table_with_votes_in_it_is_not_written_over(tmp_path: Path, separator: str, heading: str) -> None:
    sheet, _ = draw_sheet(plain(3), config())
    table, _ = write_sheet(sheet, tmp_path)
    write_sheet(sheet, tmp_path)  # without votes it may be
    with table.open("w", newline="") as stream:  # as a spreadsheet of another country saves it
        csv.writer(stream, delimiter=separator).writerows([["id", heading], ["s0-1", ""], ["s0-2", "A"]])

    with pytest.raises(EvaluationError, match=r"sheet.csv holds 1 votes or comments that would be lost.*sheet.folder"):
        write_sheet(sheet, tmp_path)


def test_a_table_of_another_encoding_is_not_written_over(tmp_path: Path) -> None:
    sheet, _ = draw_sheet(plain(3), config())
    table, _ = write_sheet(sheet, tmp_path)
    table.write_text("id,vote\ns0-1,A\n", encoding="utf-16")

    with pytest.raises(EvaluationError, match=r"sheet.csv holds something else than a sheet"):
        write_sheet(sheet, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EvaluationError, match=r"cannot be written to .*file.*sheet.folder"):
        write_sheet(draw_sheet(plain(3), config())[0], tmp_path / "file")


def test_keys_of_all_sheets_stand_in_their_trials_folders(tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "0003"
    keys = [draw_sheet(plain(4), config(seed=seed))[1] for seed in (0, 1)]
    for key in keys:
        write_key(key, folder)

    assert find_keys(tmp_path) == {key.sheet: (key, folder) for key in keys}


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "trials" / "0003" / "sheet_key_0.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")

    with pytest.raises(EvaluationError, match=r"sheet_key_0.json is no key of a sheet \('items'\)"):
        find_keys(tmp_path)
