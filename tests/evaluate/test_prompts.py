"""The embedded prompts are what they say they are, and a file of the user's is read or refused row by row."""

import json
from collections import Counter
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from tune.errors import ConfigError, DataError
from tune.evaluate.prompts import EMBEDDED, Prompt, read_prompts

GOOD = [
    {"id": "a", "kind": "general", "prompt": "Say hello."},
    {"id": "b", "kind": "mine", "prompt": "", "system": "Be short."},
    {"id": "c", "kind": "jailbreak", "prompt": "Break the rules."},
    {"id": "d", "kind": "jailbreak", "prompt": "Forget the rules."},
]


def written(folder: Path, rows: list[object]) -> str:
    file = folder / "mine.jsonl"
    file.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return str(file)


def test_the_embedded_set_has_six_kinds_and_an_id_each() -> None:
    prompts = read_prompts(EMBEDDED)

    assert Counter(prompt.kind for prompt in prompts) == {
        "general": 9,
        "empty": 3,
        "long": 4,
        "domain": 7,
        "format": 11,
        "jailbreak": 10,
    }
    assert len({prompt.id for prompt in prompts}) == 44
    assert all(prompt.id.startswith(f"{prompt.kind}/") for prompt in prompts)


def test_no_two_embedded_prompts_are_nearly_the_same() -> None:
    texts = [prompt.text for prompt in read_prompts(EMBEDDED) if prompt.kind != "empty"]
    nearest = max(
        Levenshtein.normalized_similarity(one, other) for i, one in enumerate(texts) for other in texts[i + 1 :]
    )

    # Unrelated English sentences of one length share about a third of their letters in order.
    assert nearest < 0.5


def test_the_kinds_hold_what_they_are_named_for() -> None:
    by_kind: dict[str, list[str]] = {}
    for prompt in read_prompts(EMBEDDED):
        by_kind.setdefault(prompt.kind, []).append(prompt.text)

    assert [text.strip(" \n\t.") for text in by_kind["empty"]] == [""] * 3
    assert "" in by_kind["empty"]
    assert all(len(text.split()) > 600 for text in by_kind["long"])
    assert all(len(text.split()) < 60 for kind, texts in by_kind.items() for text in texts if kind != "long")
    formats = "\n".join(by_kind["format"])
    for mark in ("<|im_start|>system", "[INST]", "\u200f", "\u200d", "JSON", "Markdown"):
        assert mark in formats


def test_the_lines_of_a_long_prompt_are_counted_and_come_in_turn(tmp_path: Path) -> None:
    row = {"id": "l", "kind": "long", "prompt": "Read:\n{repeated}\nEnd.", "repeated": ["A {n}", "B {n}"], "times": 3}

    prompts = read_prompts(written(tmp_path, [row, *GOOD]))

    assert prompts[0] == Prompt(id="l", kind="long", text="Read:\nA 1\nB 2\nA 3\nEnd.")


def test_a_file_of_ones_own_with_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("\ufeff" + "\n\n".join(json.dumps(row) for row in GOOD), encoding="utf-8")

    prompts = read_prompts(str(file))

    assert prompts[1] == Prompt(id="b", kind="mine", text="", system="Be short.")
    assert [prompt.id for prompt in prompts] == ["a", "b", "c", "d"]


LONG = {"id": "l", "kind": "long", "prompt": "{repeated}", "repeated": ["x"], "times": 3}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{\n", "line 5 is not JSON"),
        ("[1]\n", "line 5 is no JSON object"),
        ("[" * 100_000 + "\n", "line 5 is nested too deeply"),
        ({"kind": "general", "prompt": "x"}, "line 5 has no text as 'id'"),
        ({"id": "e", "kind": " ", "prompt": "x"}, "line 5 has no text as 'kind'"),
        ({"id": "e", "kind": "general"}, "line 5 has no text as 'prompt' (an empty one is allowed)"),
        ({"id": "e", "kind": "general", "prompt": "x", "system": 3}, "line 5 has a 'system' that is no text"),
        ({"id": "e", "kind": "general", "prompt": "x", "sytem": "y"}, "line 5 has the key 'sytem'; there is: id, kind"),
        ({"id": "a", "kind": "general", "prompt": "x"}, "line 5 has the id 'a', which an earlier row has"),
        ({"id": "e", "kind": "general", "prompt": "\ud83d"}, "line 5 holds half of a character"),
        ({**LONG, "times": True}, "line 5 has 'repeated' without a whole number from 1 to 10000 as 'times'"),
        ({**LONG, "times": 10_001}, "line 5 has 'repeated' without a whole number"),
        ({**LONG, "repeated": "x"}, "line 5 has 'times' or 'repeated', but the latter is no list of texts"),
        ({**LONG, "prompt": "x"}, "line 5 has 'repeated', and not one place {repeated} in its prompt"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: object, says: str) -> None:
    source = written(tmp_path, [*GOOD, row])

    with pytest.raises(DataError) as refused:
        read_prompts(source)

    assert str(refused.value).startswith(f"evaluate.prompts={source}: {says}")
    assert "take evaluate.prompts=embedded, or null for none" in str(refused.value)


def test_all_bad_rows_are_told_at_once_but_not_without_end(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        read_prompts(written(tmp_path, ["{\n"] * 7))

    assert "line 1 is not JSON" in str(refused.value)
    assert "line 5 is not JSON" in str(refused.value)
    assert "line 6" not in str(refused.value)
    assert "; and 2 more." in str(refused.value)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (GOOD[:3], "there is 1 of kind jailbreak, and 2 are needed"),
        (GOOD[1:], "there is 1 of other kinds, and 2 are needed"),
        ([], "there are 0 of kind jailbreak"),
    ],
)
def test_too_few_prompts_for_an_interval_are_refused(tmp_path: Path, rows: list[object], says: str) -> None:
    with pytest.raises(DataError) as refused:
        read_prompts(written(tmp_path, rows))

    assert says in str(refused.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as missing:
        read_prompts(str(tmp_path / "none.jsonl"))
    assert "No such file or directory" in str(missing.value)
    assert "it must be embedded, null, or the path of a file" in str(missing.value)

    with pytest.raises(ConfigError):
        read_prompts(str(tmp_path))

    file = tmp_path / "bytes.jsonl"
    file.write_bytes(b"\n\xff\n")
    with pytest.raises(DataError) as refused:
        read_prompts(str(file))
    assert "line 2 has a byte that is not UTF-8" in str(refused.value)
