"""Which general texts are read: the embedded ones, a file's, a data set's; and what is said of what is no use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tune.config.evaluation import EvaluateConfig
from tune.errors import ConfigError, DataError, EvaluationError
from tune.evaluate.corpus import corpus_of_rows, read_corpus


def test_the_embedded_corpus_has_forty_short_documents() -> None:
    corpus = read_corpus(EvaluateConfig(corpus="embedded"))

    words = [len(text.split()) for text in corpus.documents]
    assert len(corpus.documents) == len(set(corpus.documents)) == 40
    assert 4000 < sum(words) < 6000
    assert min(words) > 60
    assert max(words) < 256
    assert corpus.ids[7] == "embedded/7"


def test_blank_lines_divide_a_file_and_line_ends_inside_a_document_stay(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_bytes("\ufeffOne\r\ntwo.\r\n\r\n \t\r\nThree.\n\nFour.\n".encode())

    corpus = read_corpus(EvaluateConfig(corpus=str(file)))

    assert corpus.documents == ("One\ntwo.", "Three.", "Four.")
    assert corpus.ids == ("mine.txt/0", "mine.txt/1", "mine.txt/2")


def test_documents_are_drawn_by_the_seed(tmp_path: Path) -> None:
    file = tmp_path / "many.txt"
    file.write_text("\n\n".join(f"Document {i}." for i in range(100)), encoding="utf-8")

    def drawn(limit: int, seed: int = 0) -> tuple[str, ...]:
        return read_corpus(EvaluateConfig(corpus=str(file), corpus_limit=limit, items_seed=seed)).documents

    assert drawn(10) == drawn(10)
    assert set(drawn(10)) < set(drawn(20))
    assert drawn(10) != drawn(10, seed=1)
    assert drawn(10) != tuple(f"Document {i}." for i in range(10)), "not the first ones"


def test_the_same_texts_under_other_ids_have_another_digest(tmp_path: Path) -> None:
    digests = set()
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("One.\n\nTwo.", encoding="utf-8")
        digests.add(read_corpus(EvaluateConfig(corpus=str(tmp_path / name))).digest)

    assert len(digests) == 2, "base scores that are kept have the ids of the first"


def test_the_digest_is_that_of_the_texts(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    digests = set()
    for text in ("One.\n\nTwo.", "One.\n\nTwo.\n\n\n", "One.\n\nThree."):
        file.write_text(text, encoding="utf-8")
        digests.add(read_corpus(EvaluateConfig(corpus=str(file))).digest)

    assert len(digests) == 2


def hub_set(folder: Path, rows: list[dict[str, str]]) -> Path:
    """Lay a data set out as the hub does, in a folder that is found by its name from beside it."""
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_a_data_sets_texts_are_its_rows_and_blank_ones_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_set(tmp_path / "owner" / "name", [{"body": " One.\n\nStill one."}, {"body": " "}, {"body": "Two."}])
    monkeypatch.chdir(tmp_path)  # the library looks for owner/name there before it asks the hub

    corpus = corpus_of_rows(EvaluateConfig(corpus_column="body"), "owner/name")

    assert corpus == ["One.\n\nStill one.", "Two."]
    with pytest.raises(EvaluationError, match=r"corpus_column=text is no column of owner/name: it has body\. Name one"):
        corpus_of_rows(EvaluateConfig(), "owner/name")


def test_a_folder_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no text file and no id of a hub data set"):
        read_corpus(EvaluateConfig(corpus=str(tmp_path)))


def test_a_missing_file_says_what_to_name() -> None:
    with pytest.raises(ConfigError) as caught:
        read_corpus(EvaluateConfig(corpus="nowhere/corpus.txt"))

    assert str(caught.value) == (
        "evaluate.corpus=nowhere/corpus.txt is no text file and no id of a hub data set (owner/name). Name a UTF-8 "
        "file whose documents are divided by blank lines, or take evaluate.corpus=embedded, or null for none."
    )


def test_a_data_set_without_a_hub_is_one_paragraph_with_ways_out() -> None:
    with pytest.raises(EvaluationError) as caught:
        read_corpus(EvaluateConfig(corpus="some/where"))

    said = str(caught.value)
    assert said.startswith("evaluate.corpus=some/where is no file here, and reading it from the hub failed: ")
    assert "python -m tune data evaluate.corpus=some/where" in said
    assert "evaluate.corpus=embedded" in said
    assert "\n" not in said


def test_one_document_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_text("Line one.\nLine two.\n", encoding="utf-8")

    with pytest.raises(DataError, match=r"has 1 document\(s\), and one says nothing .* a blank line stands between"):
        read_corpus(EvaluateConfig(corpus=str(file)))


def test_bytes_that_are_no_text_name_the_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(b"One.\n\nTw\xff.\n")

    with pytest.raises(DataError, match=r"bad\.txt, line 3, is no UTF-8 text"):
        read_corpus(EvaluateConfig(corpus=str(file)))


def test_it_is_read_without_torch() -> None:
    code = (
        "import sys; from tune.config.evaluation import EvaluateConfig; from tune.evaluate.corpus import read_corpus;"
        "read_corpus(EvaluateConfig(corpus='embedded'));"
        "print([name for name in ('torch', 'datasets', 'lm_eval') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
