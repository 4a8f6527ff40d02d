"""CSV and Parquet: fields as they were written, and what is said of a table that is broken."""

import csv
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.data.reading_files import as_csv, as_parquet, chat, content, read, refusal
from tune.config.data import ColumnsConfig, Layout
from tune.data.source import read_rows
from tune.data.tables import csv_rows
from tune.errors import DataError

MIB = 2**20


def test_a_csv_row_counts_by_the_line_it_starts_on(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('question,answer\n"one\ntwo",1\n\nthree,3\n')

    source = read(tmp_path / "a.csv")

    assert [row.id for row in source.rows] == ["a.csv/2", "a.csv/5"]
    assert source.rows[0].messages[0].content == "one\ntwo"


def test_a_field_of_nearly_a_mebibyte_is_read(tmp_path: Path) -> None:
    long = "word " * (MIB // 5 - 10)

    source = read(as_csv(tmp_path / "a.csv", [{"question": "q", "answer": long}]))

    assert source.rows[0].answer == long


def test_columns_without_a_name_and_spaces_around_names_are_no_matter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(", question , answer,\n0,q, a,\n")

    source = read(tmp_path / "a.csv")

    assert content(source.rows) == [([("user", "q")], " a")]
    assert source.layout == "question/answer, 1 row of 1 CSV file; 1 key not read: (no name)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty: it needs at least one row"),
        ("question,answer\n", "is empty"),
        ("question,answer,question,answer,x\n1,2,3,4,5\n", "names a column twice: question, answer. Rename or remove"),
        ("question,answer\nq,a\nq\n", "line 3 has 1 fields, the header has 2 (question, answer). Mend the line"),
        ("question,answer\nq,a, b\n", "line 2 has 3 fields, the header has 2 (question, answer). Mend the line; a fie"),
        ('question,answer\nq,"a\nb\n', "line 2: the row that starts here is not CSV (unexpected end of data). Close"),
        ('question,answer\nq,a\n"q"x,a\n', "line 3: the row that starts here is not CSV (',' expected after '\"')"),
        (
            f'question,answer\nq,"{"a" * 1000}\n' + f"{'b' * 999}\n" * 1100,
            "line 2: the row that starts here is not CSV",
        ),
        ("question,answer\nq,a\rq,b\r", "line 2: the row that starts here is not CSV"),
        ("question;answer\nq;a\n", "line 1 has the one column 'question;answer': its fields are divided by ';', not"),
        (f"question,answer\nq,{'a' * 3 * MIB}\n", "line 2 is 3,145,731 bytes long; a row may have at most 1,048,576"),
    ],
)
def test_a_csv_file_that_is_broken_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path / "a.csv", text)


FIELD = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_whatever_csv_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([("question", "answer"), *pairs])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.csv"
        file.write_text(written.getvalue(), encoding="utf-8", newline="")

        rows = list(csv_rows(file))

    assert [(row.values["question"], row.values["answer"]) for row in rows] == pairs


def test_parquet_holds_chats_with_fields_that_only_some_turns_have(tmp_path: Path) -> None:
    turns = chat(("user", "q"), ("assistant", "a"))
    rows = [{"messages": turns, "kind": 1}, {"messages": [{**turns[0], "tool_calls": None}, turns[1]], "kind": 2}]
    file = as_parquet(tmp_path / "a.parquet", rows)

    source = read(file, label="kind")

    assert content(source.rows) == [([("user", "q")], "a")] * 2
    assert [row.label for row in source.rows] == ["1", "2"]
    assert [row.id for row in source.rows] == ["a.parquet/1", "a.parquet/2"]
    assert source.layout == "ChatML, 2 rows of 1 Parquet file"


def test_parquet_texts_of_every_encoding_are_texts(tmp_path: Path) -> None:
    table = pa.table(
        {
            "question": pa.array(["q", "q"]).dictionary_encode(),
            "answer": pa.array(["a", None], pa.large_string()),
            "score": pa.array([float("nan"), 1.0]),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")

    assert content(read(tmp_path / "a.parquet").rows) == [([("user", "q")], "a"), ([("user", "q")], "")]
    with pytest.raises(DataError, match=r"row 1 holds nothing in `score` \(data\.columns\.label\)"):
        read(tmp_path / "a.parquet", label="score")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 2], "row 1 holds a number in `answer`: it must be a text. Mend or remove the row."),
        ([b"x", b"y"], "row 1 holds a bytes in `answer`: it must be a text."),
        ([["x"], ["y"]], "row 1 holds a list in `answer`: it must be a text."),
    ],
)
def test_a_parquet_column_of_another_type_is_told(tmp_path: Path, values: list, words: str) -> None:
    rows = [{"question": "q", "answer": value} for value in values]

    with pytest.raises(DataError) as caught:
        read(as_parquet(tmp_path / "a.parquet", rows))

    assert words in str(caught.value)


def test_a_damaged_parquet_file_is_told(tmp_path: Path) -> None:
    whole = as_parquet(tmp_path / "whole.parquet", [{"question": "q" * n, "answer": "a"} for n in range(999)])
    written = whole.read_bytes()

    cut = refusal(tmp_path / "cut.parquet", written[:-100])
    middle = refusal(tmp_path / "middle.parquet", written[:50] + b"\xff" * 500 + written[550:])

    for said in (cut, middle, refusal(tmp_path / "text.parquet", "question,answer\n")):
        assert said.startswith("cannot be read as Parquet: ")
        assert said.endswith(". Write it again, or give another file.")
    assert "size is 0 bytes" in refusal(tmp_path / "empty.parquet", "")


def test_a_parquet_file_without_rows_or_with_a_column_twice_is_told(tmp_path: Path) -> None:
    none = pa.table({"question": pa.array([], pa.string()), "answer": pa.array([], pa.string())})
    parquet.write_table(none, tmp_path / "none.parquet")
    twice = pa.Table.from_arrays([pa.array(["q"]), pa.array(["a"])], names=["question", "question"])
    parquet.write_table(twice, tmp_path / "twice.parquet")

    with pytest.raises(DataError, match=r"none\.parquet is empty"):
        read(tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"twice\.parquet names a column twice: question"):
        read(tmp_path / "twice.parquet")


def test_a_column_for_balancing_is_kept_beside_the_label(tmp_path: Path) -> None:
    file = as_csv(tmp_path / "a.csv", [{"question": "q", "answer": "a", "topic": "x", "length": "short"}])

    source = read_rows(file, Layout.auto, ColumnsConfig(label="topic"), kept="length")

    assert (source.rows[0].label, dict(source.rows[0].extra)) == ("x", {"length": "short"})
    assert source.layout == "question/answer, 1 row of 1 CSV file"
    with pytest.raises(DataError, match=r"no column `size`, which data\.balance\.column names"):
        read_rows(file, Layout.auto, ColumnsConfig(), kept="size")


def test_reading_text_imports_neither_torch_nor_tables_nor_the_hub(tmp_path: Path) -> None:
    file = as_csv(tmp_path / "a.csv", [{"question": "q", "answer": "a"}])
    code = (
        "import sys; from tune.config.data import DataConfig, DataFormat; from tune.data.source import read_source; "
        f"read_source(DataConfig(format=DataFormat.files, path={str(file)!r})); "
        "print(*{'torch', 'pandas', 'pyarrow', 'datasets', 'transformers'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "\n"
