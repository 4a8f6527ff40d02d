"""Files and folders: what is read, in which order, and what is said of a file that cannot be."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.reading_files import as_csv, as_parquet, chat, content, lines, read, refusal
from tune.config.data import ColumnsConfig, DataConfig, DataFormat, Layout
from tune.data.rows import json_lines, json_rows
from tune.data.source import read_rows, read_source, source_digest
from tune.errors import DataError

ROW = {"question": "q", "answer": "a"}
TEXT = '{"question": "q", "answer": "a"}'
MIB = 2**20


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.json", "rows.JSONL"])
def test_ids_are_the_files_name_and_the_line(tmp_path: Path, name: str) -> None:
    source = read(lines(tmp_path / name, [ROW, "", " \t", ROW]))

    assert [row.id for row in source.rows] == [f"{name}/1", f"{name}/4"]
    assert source.files == (name,)


def test_rows_of_a_list_are_counted_and_placed_by_line(tmp_path: Path) -> None:
    said = refusal(tmp_path / "rows.json", f'[{TEXT}, {TEXT},\n\n  {{"question": "q",\n "answer": 5}}]')

    assert said.startswith("row 3 (line 3) holds a number in `answer`")


def test_a_byte_order_mark_of_utf8_is_no_matter(tmp_path: Path) -> None:
    for name, text in [("a.jsonl", TEXT), ("a.json", f"[{TEXT}]"), ("a.csv", "question,answer\nq,a\n")]:
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())

        assert content(read(tmp_path / name).rows) == [([("user", "q")], "a")]


def test_line_ends_of_windows_are_no_matter(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(f"{TEXT}\r\n\r\n{TEXT}\r\n".encode())
    (tmp_path / "a.csv").write_bytes(b'question,answer\r\nq,a\r\n"q","a"')

    assert [row.id for row in read(tmp_path).rows] == ["a.csv/2", "a.csv/3", "a.jsonl/1", "a.jsonl/3"]
    assert {row.answer for row in read(tmp_path).rows} == {"a"}


def test_bytes_that_are_not_utf8_are_told_with_line_and_offset(tmp_path: Path) -> None:
    # "question,answer\n" is 16 bytes, "q,a\n" 4, "caf" 3: 16 + 4 + 3 = 23
    broken = "question,answer\nq,a\ncafé,a\n".encode("latin-1")
    as_list = f'[\n{TEXT},\n{{"question": "é"'.encode("latin-1")

    said = refusal(tmp_path / "a.csv", broken)

    assert said.startswith("line 3 is not UTF-8: byte 0xe9 at offset 23 of the file. Convert the file, for example")
    assert refusal(tmp_path / "a.jsonl", broken[20:]).startswith("line 1 is not UTF-8: byte 0xe9 at offset 3 ")
    assert refusal(tmp_path / "a.json", as_list).startswith(f"line 3 is not UTF-8: byte 0xe9 at offset {2 + 34 + 14} ")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_wide_encodings_are_told_by_name(tmp_path: Path, encoding: str, name: str) -> None:
    said = refusal(tmp_path / name, f"[{TEXT}]".encode(encoding))

    if encoding == "utf-32":
        assert said == "is UTF-32, not UTF-8. Convert it, for example with iconv -f UTF-32 -t UTF-8."
    else:
        assert said == "is UTF-16, not UTF-8. Convert it, for example with iconv -f UTF-16 -t UTF-8."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty: it needs at least one row"),
        ("\n \n", "is empty"),
        (f"{TEXT}\n{TEXT[:-1]}\n", "line 2 is not JSON (Expecting ',' delimiter at column 32). Each line must be one"),
        (f"{TEXT}\nnot json\n", "line 2 is not JSON (Expecting value at column 1)"),
        ("{\n", "(Objects over several lines must be a list, in a file that ends in .json.)"),
        (f"[{TEXT}]", "line 1 is a JSON list, not an object"),
        ("5", "line 1 is a JSON number, not an object"),
        ("null", "line 1 is a JSON null, not an object"),
        ('"a"', "line 1 is a JSON text, not an object"),
        ("true", "line 1 is a JSON boolean, not an object"),
        ('{"question": NaN, "answer": "a"}', "line 1 is not JSON (NaN is no number in JSON; write null)"),
        ('{"question": -Infinity}', "line 1 is not JSON (-Infinity is no number in JSON; write null)"),
        ("[" * 100_000, "line 1 is not JSON (nested too deeply)"),
        ('{"a": ' + "9" * 5000 + "}", "line 1 is not JSON (Exceeds the limit"),
        (f"{TEXT} {TEXT}", "line 1 is not JSON (Extra data at column 34)"),
    ],
)
def test_lines_that_are_no_json_objects_are_told(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path / "a.jsonl", text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("[]", "is empty"),
        ("[ \n ]", "is empty"),
        ("[", "line 1 is not JSON (Expecting value at column 2)"),
        (f"[\n{TEXT},\n{TEXT}\n{TEXT}]", "line 4 is not JSON (Expecting ',' or ']' at column 1)"),
        (f"[\n{TEXT},\n]", "line 2 is not JSON (no row after the comma at column 33)"),
        (f"[\n{TEXT}\n", "line 3 is not JSON (Expecting ',' or ']' at column 1)"),
        (f'[\n{TEXT},\n{{"question"\n: }}]', "line 4 is not JSON (Expecting value at column 3)"),
        (f"[{TEXT},\n5]", "row 2 (line 2) is a JSON number, not an object"),
        (f"[{TEXT},\nNaN]", "row from line 2 on is not JSON (NaN is no number in JSON; write null)"),
        (f"[{TEXT},\n\n{'[' * 100_000}", "row from line 3 on is not JSON (nested too deeply)"),
        (f"[{TEXT}\n]\n\n[]", "line 2 ends the list, but more follows"),
        ('{\n "rows": []\n}', "line 1 is not JSON"),
        ("[é", "line 1 is not JSON (Expecting value at column 2)"),
    ],
)
def test_a_list_that_is_broken_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path / "a.json", text)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_row_of_ten_megabytes_is_told_with_its_size(tmp_path: Path, name: str) -> None:
    long = json.dumps({"question": "q", "answer": "x" * 10 * MIB})  # 29 bytes around the answer
    text = f"{TEXT}\n{long}\n{TEXT}\n" if name == "a.jsonl" else f"[{TEXT},\n{long}\n]"

    said = refusal(tmp_path / name, text)

    assert said == (
        f"line 2 is {len(long) + (name == 'a.jsonl'):,} bytes long; a row may have at most 1,048,576 (1 MiB). "
        "Split or remove the row."
    )


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_row_of_just_a_mebibyte_is_read(tmp_path: Path, name: str) -> None:
    long = json.dumps({"question": "q", "answer": ""})
    long = json.dumps({"question": "q", "answer": "x" * (MIB - len(long))})
    (tmp_path / name).write_text(f"{long}\n{TEXT}\n" if name == "a.jsonl" else f"[{long}, {TEXT}]")

    assert len(long) == MIB
    assert len(read(tmp_path / name).rows) == 2


WORD = st.text(max_size=3)


@given(rows=st.lists(st.dictionaries(WORD, WORD | st.lists(WORD), max_size=3), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_whatever_json_writes_is_read_back(rows: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.json"
        for indent in (None, 0, 2):
            file.write_text(json.dumps(rows, indent=indent, ensure_ascii=indent is None), "utf-8", "surrogatepass")
            if indent is None:
                assert [row.values for row in json_rows(file)] == rows
                assert [row.number for row in json_rows(file)] == list(range(1, len(rows) + 1))
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert [row.values for row in json_lines(file)] == rows
        assert [row.place for row in json_rows(file)] == [f"line {n}" for n in range(1, len(rows) + 1)]


def test_a_folder_is_read_whole_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b" / ".git").mkdir(parents=True)
    lines(tmp_path / "b" / "a.jsonl", [ROW])
    lines(tmp_path / "b" / ".git" / "x.jsonl", ["broken"])
    lines(tmp_path / ".hidden.jsonl", ["broken"])
    lines(tmp_path / "c.jsonl", [ROW, ROW])
    as_csv(tmp_path / "a.csv", [ROW])
    lines(tmp_path / "z.json", [{"messages": chat(("user", "q"), ("assistant", "a"))}])
    (tmp_path / "README.md").write_text("what this is")
    (tmp_path / "b" / "raw.jsonl.gz").write_bytes(b"")
    (tmp_path / "linked").symlink_to(tmp_path / "b")

    source = read(tmp_path)

    assert [row.id for row in source.rows] == ["a.csv/2", "b/a.jsonl/1", "c.jsonl/1", "c.jsonl/2", "z.json/1"]
    assert source.files == ("a.csv", "b/a.jsonl", "c.jsonl", "z.json")
    assert source.layout == (
        "question/answer, 1 row of 1 CSV file; question/answer, 3 rows of 2 JSON lines files; ChatML, 1 row of 1 JSON "
        "file; 3 files not read: README.md, b/raw.jsonl.gz, linked"
    )


def test_a_complaint_about_a_file_of_a_folder_names_it(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    lines(tmp_path / "a.jsonl", [ROW])
    broken = lines(tmp_path / "b" / "b.jsonl", [ROW, "[]"])

    with pytest.raises(DataError) as caught:
        read(tmp_path)

    assert str(caught.value).startswith(f"{broken} line 2 is a JSON list")


def test_a_folder_without_rows_is_told_with_the_endings(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")

    with pytest.raises(DataError) as caught:
        read(tmp_path)

    assert str(caught.value) == (
        f"data.path={tmp_path} holds no file of rows. Files that end in .jsonl, .ndjson, .json, .csv, .tsv, .parquet "
        "are read; put one there."
    )


def test_a_file_of_another_kind_or_none_at_all_is_told_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    read_mix = {"layout": Layout.auto, "columns": ColumnsConfig(), "setting": "data.mix.path"}

    with pytest.raises(DataError, match=r"data\.path=.*rows\.xlsx has an ending that is not read\. There is: \.jsonl"):
        read(tmp_path / "rows.xlsx")
    with pytest.raises(DataError, match=r"data\.mix\.path=.*no\.jsonl does not exist\. Give the path of a file"):
        read_rows(tmp_path / "no.jsonl", **read_mix)
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / ("x" * 300))


def test_the_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines(tmp_path / "a.jsonl", [ROW])
    monkeypatch.setenv("HOME", str(tmp_path))

    assert len(read(Path("~/a.jsonl")).rows) == 1


@pytest.mark.skipif(os.name == "nt", reason="permissions as POSIX has them")
def test_a_file_or_folder_that_may_not_be_read_is_told() -> None:
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which is closed to others altogether
    (folder / "in").mkdir()
    lines(folder / "in" / "a.jsonl", [ROW])
    as_parquet(folder / "in" / "b.parquet", [ROW])
    as_root = os.geteuid() == 0
    try:
        folder.chmod(0o755)
        if as_root:
            os.seteuid(65534)  # root reads everything, so for once be nobody
            if not os.access(folder, os.R_OK, effective_ids=True):
                pytest.skip("the folder for temporary files is closed to others")
        for name in ("a.jsonl", "b.parquet", ""):
            place = folder / "in" / name
            _as_owner(as_root, place, 0o000)

            with pytest.raises(DataError) as caught:
                read(place)

            assert str(caught.value).startswith(f"{place} cannot be read")
            assert "Permission denied" in str(caught.value)
            _as_owner(as_root, place, 0o755)
    finally:
        if as_root:
            os.seteuid(0)
        shutil.rmtree(folder)


def _as_owner(as_root: bool, place: Path, mode: int) -> None:
    if as_root:
        os.seteuid(0)
    place.chmod(mode)
    if as_root:
        os.seteuid(65534)


def config(path: Path, data_format: DataFormat = DataFormat.files) -> DataConfig:
    return DataConfig(format=data_format, path=str(path))


def test_the_digest_follows_contents_and_names_but_not_the_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        lines(tmp_path / name / "a.jsonl", [ROW])
        (tmp_path / name / "notes.txt").write_text(name)

    one = source_digest(config(tmp_path / "one"))

    assert one == source_digest(config(tmp_path / "two")) == source_digest(config(tmp_path / "one" / "a.jsonl"))
    (tmp_path / "two" / "a.jsonl").rename(tmp_path / "two" / "b.jsonl")
    assert one != source_digest(config(tmp_path / "two"))
    lines(tmp_path / "one" / "a.jsonl", [ROW, ROW])
    assert one != source_digest(config(tmp_path / "one"))
    with pytest.raises(DataError, match="does not exist"):
        source_digest(config(tmp_path / "three"))


def test_the_published_sets_are_read_with_their_test_files(shared_data: Path) -> None:
    banking = read_source(config(shared_data / "banking77", DataFormat.banking77))
    gsm8k = read_source(config(shared_data / "gsm8k", DataFormat.gsm8k))

    assert banking.test is not None
    assert gsm8k.test is not None
    assert (len(banking.rows), len(banking.test)) == (10003, 3080)
    assert (len(gsm8k.rows), len(gsm8k.test)) == (7473, 1319)
    assert banking.layout == "BANKING77, 10,003 rows of train.csv and 3,080 of test.csv"
    assert gsm8k.files == ("train.jsonl", "test.jsonl")
    first = banking.rows[0]
    assert (first.id, first.label, first.answer) == ("train.csv/2", "card_arrival", "card arrival")
    assert len({row.label for row in banking.rows}) == 77
    assert len({row.id for row in banking.rows}) == 10003
    assert gsm8k.rows[0].extra == {"number": "72"}  # 48 clips in April and half as many in May
    assert len(source_digest(config(shared_data / "gsm8k", DataFormat.gsm8k))) == 64


def test_settings_that_a_published_set_does_not_use_are_told(tmp_path: Path) -> None:
    data = config(tmp_path, DataFormat.banking77)
    data.columns.label = "category"
    data.layout = Layout.alpaca

    with pytest.raises(DataError, match=r"data=banking77 does not use data\.columns\.label, data\.layout: its files"):
        read_source(data)


def test_broken_published_files_are_told(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", [ROW])
    as_csv(tmp_path / "train.csv", [{"text": "q", "categories": "a"}])

    with pytest.raises(DataError, match=r"train\.jsonl line 1 needs a question, and an answer that ends in #### and"):
        read_source(config(tmp_path, DataFormat.gsm8k))
    with pytest.raises(DataError, match=r"train\.csv has no column category\. Did you mean categories\?"):
        read_source(config(tmp_path, DataFormat.banking77))
    as_csv(tmp_path / "train.csv", [{"text": "q", "category": " "}])
    with pytest.raises(DataError, match=r"train\.csv line 2 has no text or no category"):
        read_source(config(tmp_path, DataFormat.banking77))
    with pytest.raises(DataError, match=r"holds no test\.jsonl"):
        source_digest(config(tmp_path, DataFormat.gsm8k))
