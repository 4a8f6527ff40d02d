"""The page as a rater uses it, in a real browser: keys, mouse, what is kept, the file that is saved."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.sheet.chromium import Page, browser, program, wait_until
from tests.report.sheet.sides import HOSTILE, asked, config, sides
from tune.report.sheet.draw import draw_sheet, shown
from tune.report.sheet.key import Key, write_key
from tune.report.sheet.write import write_sheet
from tune.report.votes.read import Choice, read_ballots

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium is installed: run scripts/chromium")


@pytest.fixture
def key(tmp_path: Path) -> Key:
    """A sheet of hostile replies in a folder, and its key."""
    pairs = [asked(n, text, f"calm {n}", question=f"Q {n} {text}") for n, text in enumerate(HOSTILE)]
    sheet, key = draw_sheet(sides(pairs), config())
    write_sheet(sheet, tmp_path)
    write_key(key, tmp_path / "trials" / "0003")
    return key


@pytest.fixture
def tab(tmp_path: Path, key: Key) -> Iterator[Page]:
    with browser(tmp_path / "profile", tmp_path / "saved") as tab:
        tab.ask("Emulation.setDeviceMetricsOverride", width=1200, height=800, deviceScaleFactor=1, mobile=False)
        tab.open(tmp_path / "sheet.html")
        assert tab.run("document.body.dataset.sheet") == key.sheet
        yield tab


def votes(tab: Page, key: Key) -> dict[str, str]:
    kept = json.loads(tab.run(f"localStorage.getItem('tune-sheet-{key.sheet}')") or '{"votes": {}}')
    return {one: entry["vote"] for one, entry in kept["votes"].items()}


def shows(tab: Page) -> str:
    return str(tab.run("[...document.querySelectorAll('.item.now')].map(item => item.dataset.id).join()"))


def test_votes_by_key_and_mouse_outlive_the_page_and_come_back_from_the_saved_file(
    tab: Page, key: Key, tmp_path: Path
) -> None:
    ids = list(key.items)
    assert shows(tab) == ids[0]
    for word in ("a", "T", "4"):
        tab.press(word)
    tab.click("[data-vote='B']")
    tab.press("c")
    tab.press("a")  # into the comment, and no vote
    tab.press("Escape")
    tab.press("ArrowLeft")
    assert votes(tab, key) | {ids[4]: ""} == dict(zip(ids, ["A", "tie", "both bad", "B", ""], strict=False))
    assert tab.run("document.querySelector('[data-vote=B]').getAttribute('aria-pressed')") == "true"
    tab.press("b")  # the same again takes it back
    assert votes(tab, key)[ids[3]] == ""

    tab.open(tmp_path / "sheet.html")
    assert shows(tab) == ids[3], "it goes on at the first question without a vote"
    assert tab.run("document.getElementById('count').textContent") == "3 of 10 voted"
    tab.run("document.getElementById('rater').focus()")
    for letter in "Änn/1":
        tab.press(letter)
    tab.click("#save")
    file = tmp_path / "saved" / f"votes-{key.sheet}-Änn_1.json"
    wait_until(file.is_file)

    tab.open(tmp_path / "sheet.html")
    assert "The saved votes of Änn/1 are shown" in tab.run("document.getElementById('said').textContent")
    tab.click("#over")
    assert (shows(tab), votes(tab, key), tab.run("document.getElementById('rater').value")) == (ids[0], {}, "")
    assert tab.run("document.getElementById('over').disabled") is True, "nothing is saved yet"

    (ballot,), _ = read_ballots([file], {key.sheet: (key, tmp_path)})
    assert ballot.rater == "Änn/1"
    assert ballot.votes == dict(zip(ids, [Choice.a, Choice.tie, Choice.both_bad], strict=False))
    assert ballot.comments == {ids[4]: "a"}
    assert tab.errors == []


def test_every_reply_is_shown_as_it_was_and_none_ran(tab: Page, key: Key) -> None:
    replies = tab.run("[...document.querySelectorAll('.reply .text')].map(box => box.textContent)")

    assert {shown(text) or "(empty)" for text in HOSTILE} < set(replies)
    assert tab.run("document.title") == "Which reply is better?"
    assert tab.run("document.querySelectorAll('img, script:not(:last-child), iframe, form').length") == 0
    assert tab.run("document.scripts.length") == 1
    for _ in key.items:
        tab.press("x")
    assert tab.run("document.getElementById('said').textContent").startswith("All questions are voted on")
    assert tab.errors == []


def test_the_policy_runs_no_other_script_and_sends_nothing(tab: Page) -> None:
    tab.run("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))")
    tab.run("document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/x'}))")
    tab.run("document.querySelector('.text').innerHTML = '<b onclick=\"document.title=1\">x</b>'")
    tab.run("document.querySelector('.text b').click()")

    assert tab.run("document.title") == "Which reply is better?"
    wait_until(lambda: tab.run("1") and len([one for one in tab.errors if "Content Security Policy" in one]) >= 3)


@pytest.mark.parametrize(("width", "columns"), [(1200, 2), (360, 1)])
def test_nothing_is_wider_than_the_window(tab: Page, width: int, columns: int) -> None:
    tab.ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)

    assert tab.run("document.documentElement.scrollWidth") <= width
    assert len(set(tab.run("[...document.querySelectorAll('.now .reply')].map(b => b.offsetLeft)"))) == columns
