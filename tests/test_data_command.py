"""`python -m tune data`: what a person reads before anything is trained."""

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tune.config.compose import compose
from tune.data.listener import Silent
from tune.trial.inspect import inspect_data

WORDS = [f"{first}{second}" for first in ("ka", "lo", "mi", "nu", "pe", "ra", "si", "to") for second in "bdfgklmnprst"]
SPLITS = ["data.validation=2", "data.test=2"]


def sentence(number: int, n_words: int = 12) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=n_words))


PAIRS = [(sentence(i), sentence(-i - 1, 5)) for i in range(12)]
ROWS = "".join(json.dumps({"instruction": question, "output": answer}) + "\n" for question, answer in PAIRS).encode()


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_CACHE", str(folder))
        yield


def told(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tune", "data", "model=tiny", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd, env=os.environ)
    assert done.returncode == code, done.stderr
    return done


def lines(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def written(folder: Path) -> dict[str, Path]:
    """The same chats in every layout and kind of file."""
    rows = {
        "chatml": [
            {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in PAIRS
        ],
        "alpaca": [{"instruction": q, "input": "", "output": a} for q, a in PAIRS],
        "sharegpt": [{"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]} for q, a in PAIRS],
        "pairs": [{"prompt": q, "completion": a} for q, a in PAIRS],
        "questions": [{"question": q, "answer": a} for q, a in PAIRS],
    }
    files = {name: lines(folder / f"{name}.jsonl", content) for name, content in rows.items()}
    files["json"] = folder / "rows.json"
    files["json"].write_text(json.dumps(rows["alpaca"]))
    files["csv"] = folder / "rows.csv"
    with files["csv"].open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["question", "answer"])
        writer.writeheader()
        writer.writerows(rows["questions"])
    files["parquet"] = folder / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist(rows["questions"]), files["parquet"])
    return files


def test_the_same_chats_in_every_layout_are_the_same_token_ids_and_masks(tmp_path: Path) -> None:
    found = {}
    for name, file in written(tmp_path).items():
        config = compose(["model=tiny", "data=jsonl", f"data.path='{file}'", *SPLITS])
        found[name] = inspect_data(config, Silent()).tokens

    first = found["chatml"].dataset().to_dict()
    assert len(first["input_ids"]) == 8
    assert len(found) == 8
    for name, tokens in found.items():
        assert tokens.dataset().to_dict() == first, name


def test_a_person_reads_what_was_found_what_went_and_what_is_learned(tmp_path: Path) -> None:
    rows = [{"instruction": q, "output": a} for q, a in PAIRS]
    rows += [rows[0], {"instruction": sentence(99), "output": " "}, {"instruction": sentence(98), "output": "a\x00b"}]
    lines(tmp_path / "rows.jsonl", rows)

    words = ["data=jsonl", "data.path=rows.jsonl", *SPLITS]
    longest = json.loads(told(*words, "report.format=json", cwd=tmp_path).stdout)["tokens"]["longest"]

    done = told(*words, f"train.max_length={longest - 1}", cwd=tmp_path)

    read = done.stdout.splitlines()
    assert "Alpaca, 15 rows of 1 JSON lines file" in read[0]
    for step in ("exact duplicates", "empty answers", "broken text"):
        (line,) = [line for line in read if line.startswith(step) and "data.clean." in line]
        assert line.removeprefix(step).split()[0] == "1"
    assert any("says the same as rows.jsonl/" in line for line in read), "both rows are named"
    assert ["train", "8", "8"] in [line.split() for line in read]
    assert any(line.startswith("«") for line in read), "without colours, what is learned stands between marks"
    assert f"are longer than train.max_length={longest - 1} and left out" in done.stdout
    assert "training rows hold" in done.stdout


def test_programs_read_the_same_as_json_on_standard_output_alone(tmp_path: Path) -> None:
    lines(tmp_path / "rows.jsonl", [{"instruction": q, "output": a} for q, a in PAIRS])

    words = ["data=jsonl", "data.path=rows.jsonl", *SPLITS, "report.format=json"]
    one, two = (json.loads(told(*words, cwd=tmp_path).stdout) for _ in range(2))

    assert one == two
    assert one["splits"] == {"train": 8, "validation": 2, "test": 2}
    assert set(one["fingerprint"]) == {"train", "validation", "test", "tokens"}
    assert one["tokens"]["left_out"] == 0


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (b"\xff\xfe{", [], ["UTF-16", "rows.jsonl"]),
        (b'{"instruction": "a", "output": "caf\xe9"}\n', [], ["UTF-8", "line 1"]),
        (b'{"instruction": "a", "output": "b"}\n{"prompt": "a", "completion": "b"}\n', [], ["line 1", "line 2"]),
        (b'{"messages": [{"role": "robot", "content": "a"}]}\n', [], ["robot", "line 1", "user"]),
        (b'{"instruction": "a", "output": "' + b"x" * 10_000_000 + b'"}\n', [], ["line 1", "MiB"]),
        (b'{"instruction": "a", "output": "b"}\n', ["data.columns.label=kind"], ["kind", "instruction"]),
        (ROWS, ["data.template=chatmll", *SPLITS], ["chatml"]),
        (ROWS, [*SPLITS, "data.clean.min_words=500"], ["none of the 12 rows", "data.clean.min_words"]),
    ],
)
def test_bad_input_is_one_paragraph_with_a_way_out(
    tmp_path: Path,
    content: bytes,
    words: list[str],
    said: list[str],
) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)

    done = told("data=jsonl", "data.path=rows.jsonl", *words, cwd=tmp_path, code=2)

    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("tune: ")
    for part in said:
        assert part in done.stderr
    assert not done.stdout


def test_a_template_of_another_family_or_with_a_syntax_error_is_refused(tmp_path: Path) -> None:
    lines(tmp_path / "rows.jsonl", [{"instruction": q, "output": a} for q, a in PAIRS])
    (tmp_path / "mine.jinja").write_text("{% for m in messages %}\n{{ m.content \n{% endfor %}")
    words = ["data=jsonl", "data.path=rows.jsonl", *SPLITS]

    foreign = told(*words, "data.template=llama3", cwd=tmp_path, code=2).stderr
    broken = told(*words, "data.template=mine.jinja", cwd=tmp_path, code=2).stderr

    assert "<|start_header_id|>" in foreign
    assert "data.template=chatml" in foreign
    assert "mine.jinja line 3" in broken


def test_a_study_with_such_a_template_starts_no_trial(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tune", "+sweep=smoke", "data.template=llama3", "track.folder=runs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)

    assert done.returncode == 2
    assert "template of another model family" in done.stderr
    assert "no trial was started" in done.stderr
    assert not list(tmp_path.glob("runs/studies/*/trials/*"))


def test_a_row_that_went_for_its_broken_text_is_shown_without_sending_that_to_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    broken = {"instruction": "half \ud800 of a pair", "output": "and \x1b[31m red"}
    file.write_bytes(ROWS + json.dumps(broken).encode() + b"\n")

    done = told("data=jsonl", f"data.path='{file}'", *SPLITS, cwd=tmp_path)

    assert r"rows.jsonl/13 (U+D800 in a turn of the user): half \ud800 of a pair → and \x1b[31m red" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_search_over_shares_of_general_rows_that_are_not_there_starts_no_trial(tmp_path: Path) -> None:
    sweep = tmp_path / "own" / "sweep" / "mixing.yaml"
    sweep.parent.mkdir(parents=True)
    space = {"data.mix.share": [0.0, 0.2]}
    sweep.write_text(
        "# @package _global_\n" + json.dumps({"sweep": {"name": "mixing", "question": "?", "space": space}})
    )
    words = ["+sweep=mixing", "--config-dir", "own", "model=tiny", "data.mix.path=general.jsonl", "study.sampler=grid"]
    command = [sys.executable, "-m", "tune", *words, "track.folder=runs"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)

    assert done.returncode == 2
    assert "data.mix.path=general.jsonl does not exist" in done.stderr
    assert "no trial was started" in done.stderr


@pytest.mark.slow
def test_a_study_goes_on_with_the_rows_that_it_began_with_and_with_no_others(tmp_path: Path) -> None:
    rows = [{"instruction": q, "output": a} for q, a in PAIRS]
    lines(tmp_path / "rows.jsonl", rows)
    words = [
        "+sweep=smoke",
        "data=jsonl",
        "data.path=rows.jsonl",
        *SPLITS,
        "data.max_new_tokens=4",
        "track.folder=runs",
    ]
    command = [sys.executable, "-m", "tune", *words]

    def given() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)

    first = given()
    lines(tmp_path / "rows.jsonl", rows[::-1])
    reordered = given()
    lines(tmp_path / "rows.jsonl", [*rows, {"instruction": sentence(77), "output": sentence(78, 5)}])
    changed = given()

    assert first.returncode == 0, first.stderr
    assert "Alpaca, 12 rows of 1 JSON lines file" in first.stderr
    assert "training rows hold" in first.stderr, "what the size makes advisable is said once"
    assert reordered.returncode == 0, reordered.stderr
    assert "training rows hold" not in reordered.stderr
    assert changed.returncode == 2
    assert "not those that the study smoke began with" in changed.stderr
