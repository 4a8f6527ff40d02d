"""Rows out of files: what is read, and what is said when it cannot be."""

import json
from pathlib import Path

import pytest

from tune.config.data import DataConfig, DataFormat
from tune.data.load import load_splits
from tune.errors import DataError


def jsonl(folder: Path, rows: list, *, name: str = "rows.jsonl") -> DataConfig:
    file = folder / name
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return DataConfig(format=DataFormat.files, path=str(file), n_train=None, n_validation=2, n_test=1)


def alpaca(n: int) -> list[dict]:
    return [{"instruction": f"say {i}", "input": "", "output": str(i)} for i in range(n)]


def test_chatml_and_alpaca_rows_of_the_same_content_are_the_same_examples(tmp_path: Path) -> None:
    turns = [({"role": "user", "content": f"say {i}"}, {"role": "assistant", "content": str(i)}) for i in range(9)]
    chat = [{"messages": list(pair)} for pair in turns]

    one = load_splits(jsonl(tmp_path, alpaca(9)))
    two = load_splits(jsonl(tmp_path, chat, name="chat.jsonl"))

    assert one.digest == two.digest
    assert (len(one.train), len(one.validation), len(one.test)) == (6, 2, 1)


def test_the_split_does_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    one = load_splits(jsonl(tmp_path, alpaca(9)))
    two = load_splits(jsonl(tmp_path, alpaca(9)[::-1]))

    assert [e.answer for e in one.validation] == [e.answer for e in two.validation]
    assert [e.answer for e in one.test] == [e.answer for e in two.test]


def test_asking_for_fewer_training_rows_moves_no_validation_row(tmp_path: Path) -> None:
    data = jsonl(tmp_path, alpaca(9))
    full = load_splits(data)
    data.n_train = 2

    few = load_splits(data)

    assert few.validation == full.validation
    assert few.train == full.train[:2]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "is empty"),
        (["{"], "line 1 is not JSON"),
        ([*alpaca(3), "not json"], "line 4 is not JSON"),
        (["[1]"], "line 1 is a JSON list"),
        ([{"instruction": "x", "output": ""}], "line 1 has no answer"),
        ([*alpaca(1), {"messages": [{"role": "user", "content": "x"}]}], "line 2 has no answer"),
        ([{"messages": [{"role": "tool", "content": "x"}]}], "'tool'"),
        ([{"question": "x"}], "Alpaca"),
        (alpaca(3), "too few"),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, rows: list, words: str) -> None:
    with pytest.raises(DataError) as caught:
        load_splits(jsonl(tmp_path, rows))

    assert words in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_splits(DataConfig(format=DataFormat.files, path=str(tmp_path / "no.jsonl")))
    with pytest.raises(DataError, match=r"holds no train\.jsonl"):
        load_splits(DataConfig(format=DataFormat.gsm8k, path=str(tmp_path)))


def test_gsm8k_and_banking77_are_read_whole(shared_data: Path) -> None:
    data = DataConfig(format=DataFormat.gsm8k, path=str(shared_data / "gsm8k"), n_train=None)
    problems = load_splits(data)
    data = DataConfig(format=DataFormat.banking77, path=str(shared_data / "banking77"), n_train=None)
    questions = load_splits(data)

    assert len(problems.train) == 7473 - 64
    assert len(questions.train) == 10003 - 64
    assert len({example.answer for example in questions.train}) == 77


def test_train_and_validation_share_no_row(shared_data: Path) -> None:
    data = DataConfig(format=DataFormat.gsm8k, path=str(shared_data / "gsm8k"), n_train=None)

    splits = load_splits(data)

    assert not {e.id for e in splits.train} & {e.id for e in splits.validation}
    assert not {e.id for e in splits.validation} & {e.id for e in splits.test}
