"""Data sets by their id, through the real library: a folder of files is a data set to it, and no network is needed."""

from pathlib import Path

import pytest

from tests.data.reading_files import as_parquet, chat, content, lines
from tune.config.data import ColumnsConfig, DataConfig, DataFormat, Layout
from tune.data.hub import hub_digest
from tune.data.source import read_source, source_digest
from tune.errors import DataError

ROWS = [{"question": f"q{n}", "answer": "a", "id": n} for n in range(3)]


def hub(path: str | Path, **settings: object) -> DataConfig:
    return DataConfig(format=DataFormat.hub, path=str(path), **settings)


def test_a_data_set_is_read_in_its_layout(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", ROWS)
    data = hub(tmp_path)

    source = read_source(data)

    assert content(source.rows) == [([("user", f"q{n}")], "a") for n in range(3)]
    assert [row.id for row in source.rows] == ["train/1", "train/2", "train/3"]
    assert source.layout == f"question/answer, 3 rows of {tmp_path} split train; 1 key not read: id"
    assert source.files == ()
    assert source.test is None


def test_split_and_subset_are_the_librarys(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: small\n  data_files:\n  - split: dev\n    path: dev.parquet\n"
        "- config_name: large\n  data_files:\n  - split: train\n    path: dev.parquet\n---\n"
    )
    as_parquet(tmp_path / "dev.parquet", [{"messages": chat(("user", "q"), ("assistant", "a"))}] * 3)

    source = read_source(hub(tmp_path, subset="small", split="dev[1:]"))

    assert len(source.rows) == 2
    assert source.layout == f"ChatML, 2 rows of {tmp_path} subset small split dev[1:]"
    with pytest.raises(DataError, match=r"cannot be had: Config name is missing.*Check data\.path, data\.subset"):
        read_source(hub(tmp_path))
    with pytest.raises(DataError, match=r"split train cannot be had: Unknown split .train.*Should be one of"):
        read_source(hub(tmp_path, subset="small"))
    with pytest.raises(DataError, match=r"corresponds to no data\. Check"):
        read_source(hub(tmp_path, subset="small", split="dev[3:]"))


def test_a_split_without_rows_is_told(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("question,answer\n")

    with pytest.raises(DataError, match=r"split train cannot be had: Instruction .train. corresponds to no data\. C"):
        read_source(hub(tmp_path))


def test_classes_that_are_stored_as_numbers_are_given_by_name(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["lost card", "top up"])})
    made = Dataset.from_list([{"text": "Where?", "label": 1}, {"text": "How?", "label": 0}], features=features)
    made.to_parquet(tmp_path / "train.parquet")

    columns = ColumnsConfig(question="text", answer="label", label="label")
    source = read_source(hub(tmp_path, columns=columns))

    assert content(source.rows) == [([("user", "Where?")], "top up"), ([("user", "How?")], "lost card")]
    assert [row.label for row in source.rows] == ["top up", "lost card"]


def test_a_row_that_cannot_be_used_is_told_with_its_number(tmp_path: Path) -> None:
    turns = [chat(("user", "q"), ("assistant", "a")), chat(("user", "q"))]
    lines(tmp_path / "train.jsonl", [{"messages": these} for these in turns])

    with pytest.raises(DataError, match=r"split train row 2 has no answer"):
        read_source(hub(tmp_path))
    with pytest.raises(DataError, match=r"split train row 1 has no `prompt`, which prompt/completion rows have"):
        read_source(hub(tmp_path, layout=Layout.prompt_completion))


def test_a_data_set_that_cannot_be_had_is_one_paragraph_with_a_way_out(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", [*ROWS, "broken {"])

    for path in ("somebody/no-such-data-set", "no such id!", tmp_path):
        with pytest.raises(DataError) as caught:
            read_source(hub(path))

        said = str(caught.value)
        assert said.startswith(f"the data set {path} split train cannot be had: ")
        assert said.endswith("download its files elsewhere and give them with data=jsonl data.path=FILE_OR_FOLDER.")
        assert "\n" not in said


def test_a_revision_of_a_folder_is_refused(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", ROWS)

    with pytest.raises(
        DataError, match=r"data\.revision=v1 is set, but data\.path=.* is a folder here, which has none"
    ):
        read_source(hub(tmp_path, revision="v1"))


def test_the_digest_follows_content_and_split(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", ROWS)
    lines(tmp_path / "test.jsonl", ROWS)

    one = source_digest(hub(tmp_path))

    assert one == source_digest(hub(tmp_path))
    assert one != source_digest(hub(tmp_path, split="test"))
    lines(tmp_path / "train.jsonl", ROWS[:2])
    assert one != source_digest(hub(tmp_path))


def test_a_commit_needs_no_look_at_the_data_set() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"

    one = hub_digest(hub("somebody/no-such-data-set", revision=commit))

    assert one != hub_digest(hub("somebody/no-such-data-set", revision=commit, split="test"))
    with pytest.raises(DataError, match="cannot be had"):
        hub_digest(hub("somebody/no-such-data-set", revision="main"))
