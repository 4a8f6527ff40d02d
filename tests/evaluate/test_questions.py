"""Where questions come from, which of them are asked, and what is said about a file that is no use."""

import csv
import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tune.errors import ConfigError, DataError, EvaluationError, TuneError
from tune.evaluate.questions import (
    COLUMNS,
    PROBE,
    SUBJECTS,
    Question,
    check_shots,
    choose,
    read_hub_mmlu,
    read_mmlu,
    read_probe,
)

HEADER = ",".join(COLUMNS)
ROW = "Which is even?,1,2,3,5,1"


def write_mmlu(folder: Path, subject: str, *, test: str, dev: str = f"{HEADER}\n{ROW}\n") -> Path:
    for split, text in (("dev", dev), ("test", test)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / split / f"{subject}_{split}.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    return folder


def many(n: int, subject: str = "anatomy") -> list[Question]:
    return [
        Question(
            id=f"{subject}/{i}", subject=subject, text=f"Question {i}?", choices=("a", "b", "c", "d"), answer=i % 4
        )
        for i in range(n)
    ]


def test_a_row_becomes_a_question_word_for_word(tmp_path: Path) -> None:
    text = f'{HEADER}\n"Two lines,\n ""quoted"" ",x, y,z,w,2\n'

    bank = read_mmlu(write_mmlu(tmp_path, "anatomy", test=text), limit=None)

    asked = Question(
        id="anatomy/0",
        subject="anatomy",
        text='Two lines,\n "quoted" ',
        choices=("x", " y", "z", "w"),
        answer=2,
    )
    shown = Question(
        id="anatomy/dev0", subject="anatomy", text="Which is even?", choices=("1", "2", "3", "5"), answer=1
    )
    assert bank.name == "mmlu"
    assert bank.test == (asked,)
    assert bank.shots == {"anatomy": (shown,)}


def test_a_byte_order_mark_before_the_header_is_read_over(tmp_path: Path) -> None:
    bank = read_mmlu(write_mmlu(tmp_path, "anatomy", test=f"\ufeff{HEADER}\n{ROW}\n"), limit=None)

    assert len(bank.test) == 1


def test_all_of_mmlu_is_57_subjects_and_14042_questions(shared_data: Path) -> None:
    bank = read_mmlu(shared_data / "mmlu", limit=None)

    assert len(bank.test) == 14_042  # the size of the published test split
    assert tuple(bank.shots) == SUBJECTS
    assert {len(solved) for solved in bank.shots.values()} == {5}
    assert bank.test[0].id == "abstract_algebra/0"


def test_a_limit_counts_for_each_subject(shared_data: Path) -> None:
    bank = read_mmlu(shared_data / "mmlu", limit=3)

    assert [question.subject for question in bank.test] == [subject for subject in SUBJECTS for _ in range(3)]
    assert {len(solved) for solved in bank.shots.values()} == {5}, "solved questions are not limited"


def test_a_larger_limit_only_adds_questions() -> None:
    questions = many(50)

    chosen = [{question.id for question in choose(questions, limit)} for limit in range(1, 51)]

    assert [len(ids) for ids in chosen] == list(range(1, 51))
    assert all(smaller < larger for smaller, larger in pairwise(chosen))


def test_the_choice_does_not_depend_on_the_order_of_the_file() -> None:
    questions = many(50)
    shuffled = random.Random(0).sample(questions, k=50)

    assert {question.id for question in choose(shuffled, 10)} == {question.id for question in choose(questions, 10)}


def test_the_choice_is_spread_over_a_file_and_keeps_its_order() -> None:
    rows = [int(question.id.removeprefix("anatomy/")) for question in choose(many(100), 10)]

    assert rows == sorted(rows)
    assert max(rows) >= 50, "the last half of a sorted file must have a chance"


def test_the_choice_is_the_same_on_every_machine() -> None:
    # three smallest SHA-256 of ["anatomy", "Question i?", ["a", "b", "c", "d"]], i from 0 to 9, by sha256sum
    assert [question.id for question in choose(many(10), 3)] == ["anatomy/0", "anatomy/5", "anatomy/9"]


def test_a_limit_above_what_there_is_keeps_all() -> None:
    assert choose(many(3), 10) == many(3)
    assert choose(many(3), None) == many(3)


def test_ids_are_rows_of_the_file_whatever_the_limit(shared_data: Path) -> None:
    with (shared_data / "mmlu/test/anatomy_test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    for question in read_mmlu(shared_data / "mmlu", limit=2).test:
        subject, row = question.id.split("/")
        if subject == "anatomy":
            assert rows[int(row)]["question"] == question.text


def test_the_digest_moves_with_one_letter_and_with_the_limit(tmp_path: Path) -> None:
    same = read_mmlu(write_mmlu(tmp_path / "a", "law", test=f"{HEADER}\n{ROW}\nWhy?,1,2,3,4,0\n"), limit=None)
    again = read_mmlu(write_mmlu(tmp_path / "b", "law", test=f"{HEADER}\n{ROW}\nWhy?,1,2,3,4,0\n"), limit=None)
    letter = read_mmlu(write_mmlu(tmp_path / "c", "law", test=f"{HEADER}\n{ROW}\nWho?,1,2,3,4,0\n"), limit=None)
    fewer = read_mmlu(tmp_path / "a", limit=1)
    shot = read_mmlu(
        write_mmlu(tmp_path / "d", "law", test=f"{HEADER}\n{ROW}\nWhy?,1,2,3,4,0\n", dev=f"{HEADER}\nHow?,1,2,3,4,0\n"),
        limit=None,
    )

    assert same.digest == again.digest
    assert len({bank.digest for bank in (same, letter, fewer, shot)}) == 4
    assert re.fullmatch(r"[0-9a-f]{64}", same.digest)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1, holds no question: a header and at least one row must stand there"),
        (f"{HEADER}\n", "line 1, holds no question"),
        (
            "question,A,B,C,D,answer\nWhy?,1,2,3,4,0\n",
            f"line 1, has the columns 'question,A,B,C,D,answer' where '{HEADER}' must stand in its first line",
        ),
        (f"{HEADER}\n{ROW}\nWhy?,1,2,3,4,A\n", "line 3, has the answer 'A' where 0, 1, 2 or 3 must stand"),
        (f"{HEADER}\nWhy?,1,2,3,4,4\n", "line 2, has the answer '4' where 0, 1, 2 or 3 must stand"),
        (f"{HEADER}\nWhy?,1,2,3,0\n", "line 2, has 5 fields where 6 must stand"),
        (f'{HEADER}\n"Two\nlines",1,2,3,4,0\nWhy?,1,2,3,4,5,0\n', "line 4, has 7 fields where 6 must stand"),
        (f"{HEADER}\nWhy?,1, ,3,4,0\n", "line 2, has an empty choice1 where text must stand"),
        (f"{HEADER}\n{ROW}\nCaf\udce9?,1,2,3,4,0\n", r"line 3, has a byte that is not UTF-8 \(0xe9\)"),
        (f'{HEADER}\n"never closed,1,2,3,4,0\n', "line 2, is not CSV"),
    ],
)
def test_a_broken_file_is_refused_with_its_line_and_a_way_out(tmp_path: Path, text: str, words: str) -> None:
    folder = write_mmlu(tmp_path, "anatomy", test=text)

    with pytest.raises(DataError, match=words) as caught:
        read_mmlu(folder, limit=None)

    assert str(caught.value).startswith(f"evaluate.mmlu_dir: {folder / 'test' / 'anatomy_test.csv'}, line ")
    assert "evaluate=quick" in str(caught.value)
    assert "\n" not in str(caught.value), "one paragraph"


def test_a_missing_folder_names_the_first_file_and_the_layout(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_mmlu(tmp_path / "nowhere", limit=None)

    assert str(caught.value) == (
        f"evaluate.mmlu_dir={tmp_path / 'nowhere'} has no test/abstract_algebra_test.csv. "
        "It must hold dev/SUBJECT_dev.csv and test/SUBJECT_test.csv for each subject. "
        "Set evaluate.mmlu_dir=FOLDER to a folder of MMLU's files, or evaluate=quick for the embedded probe."
    )


@pytest.mark.parametrize(("gone", "named"), [("dev", "dev/law_dev.csv"), ("test", "test/law_test.csv")])
def test_a_subject_with_one_file_of_two_is_refused(tmp_path: Path, gone: str, named: str) -> None:
    folder = write_mmlu(tmp_path, "law", test=f"{HEADER}\n{ROW}\n")
    write_mmlu(folder, "art", test=f"{HEADER}\n{ROW}\n")
    (folder / gone / f"law_{gone}.csv").unlink()

    with pytest.raises(ConfigError, match=re.escape(f"has no {named}.")):
        read_mmlu(folder, limit=None)


def test_the_embedded_probe_has_mmlus_subjects_with_three_solved_and_five_asked() -> None:
    bank = read_probe(limit=None)

    assert bank.name == "general/probe"
    assert tuple(bank.shots) == SUBJECTS
    assert {len(solved) for solved in bank.shots.values()} == {3}
    assert [question.id for question in bank.test] == [f"{subject}/{i}" for subject in SUBJECTS for i in range(5)]


def test_no_solved_question_of_the_probe_is_also_asked() -> None:
    bank = read_probe(limit=None)

    asked = {question.text for question in bank.test}
    assert len(asked) == len(bank.test)
    assert not asked & {question.text for solved in bank.shots.values() for question in solved}


def test_a_probe_file_is_read_by_subject_and_split(tmp_path: Path) -> None:
    rows = "law,test,Why?,1,2,3,4,0\nart,dev,How?,1,2,3,4,1\nlaw,dev,Who?,1,2,3,4,2\nart,test,When?,1,2,3,4,3\n"
    file = tmp_path / "probe.csv"
    file.write_text(f"subject,split,{HEADER}\n{rows}", encoding="utf-8")

    bank = read_probe(limit=None, file=file)

    assert [(question.id, question.text) for question in bank.test] == [("art/0", "When?"), ("law/0", "Why?")]
    assert [solved[0].id for solved in bank.shots.values()] == ["art/dev0", "law/dev0"]


def test_a_probe_row_of_another_split_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "probe.csv"
    file.write_text(f"subject,split,{HEADER}\nlaw,train,Why?,1,2,3,4,0\n", encoding="utf-8")

    with pytest.raises(DataError, match=r"probe: .*line 2, has the split 'train' where dev or test must stand"):
        read_probe(limit=None, file=file)


def test_more_shots_than_a_subject_has_are_refused() -> None:
    bank = read_probe(limit=1)

    check_shots(bank, 3)
    with pytest.raises(ConfigError) as caught:
        check_shots(bank, 5)

    assert str(caught.value) == (
        "evaluate.n_shot=5 is more than general/probe has: abstract_algebra has 3 solved questions. "
        "Set evaluate.n_shot to 3 or less."
    )


def test_shots_are_missed_in_any_subject_that_is_asked() -> None:
    bank = read_probe(limit=1)

    with pytest.raises(ConfigError, match="world_religions has 0 solved questions"):
        check_shots(replace(bank, shots={s: v for s, v in bank.shots.items() if s != "world_religions"}), 1)


def hub_folder(folder: Path, subject: str) -> Path:
    """Lay a folder out like the hub's data set: one configuration a subject, splits test and dev."""
    row = {"question": "Which is even?", "subject": subject, "choices": ["1", "2", "3", "5"], "answer": 1}
    for split in ("test", "dev"):
        (folder / subject).mkdir(parents=True, exist_ok=True)
        (folder / subject / f"{split}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    files = "".join(f"  - split: {split}\n    path: {subject}/{split}.jsonl\n" for split in ("test", "dev"))
    readme = f"---\nconfigs:\n- config_name: {subject}\n  data_files:\n{files}---\n"
    (folder / "README.md").write_text(readme, encoding="utf-8")
    return folder


def test_the_hubs_rows_and_a_folders_rows_are_the_same_bank(tmp_path: Path) -> None:
    source = hub_folder(tmp_path / "hub", "anatomy")
    local = write_mmlu(tmp_path / "local", "anatomy", test=f"{HEADER}\n{ROW}\n")

    from_hub = read_hub_mmlu(limit=None, source=str(source), subjects=["anatomy"])

    assert from_hub == read_mmlu(local, limit=None)


def test_a_hub_that_cannot_be_reached_is_one_paragraph_with_two_ways_out() -> None:
    with pytest.raises(EvaluationError) as caught:
        read_hub_mmlu(limit=1)

    said = str(caught.value)
    assert said.startswith("evaluate.general=mmlu reads cais/mmlu from the hub, which failed for abstract_algebra: ")
    assert "evaluate.mmlu_dir=FOLDER" in said
    assert "evaluate=quick" in said
    assert "\n" not in said


def test_every_refusal_is_the_users_to_mend() -> None:
    assert all(issubclass(kind, TuneError) for kind in (ConfigError, DataError, EvaluationError))


def test_questions_are_read_without_torch() -> None:
    code = (
        "import sys; from tune.evaluate.questions import read_probe; read_probe(limit=1); "
        "print([name for name in ('torch', 'transformers', 'datasets', 'lm_eval') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_probe_stands_in_the_package() -> None:
    assert PROBE.is_file()
