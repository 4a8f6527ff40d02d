import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tune.config.model import ModelConfig
from tune.config.recipe import QuantizationConfig
from tune.errors import ConfigError
from tune.model.load import load_base
from tune.model.source import check_source, resolve_source


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_a_folder_with_only_pickles_is_refused_and_nothing_is_unpickled(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "exploded"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(trace)))
    model = ModelConfig(path=str(folder))

    for look in (lambda: check_source(model), lambda: load_base(model, QuantizationConfig(), folder=folder)):
        with pytest.raises(ConfigError, match=r"has no \*.safetensors. Its weights are pickles, which can run code"):
            look()
    assert not trace.exists()


def test_a_whole_folder_and_a_hub_id_and_an_embedded_name_are_resolved(tiny_folder: Path) -> None:
    assert resolve_source(ModelConfig(path=str(tiny_folder))) == tiny_folder
    assert resolve_source(ModelConfig(path="Qwen/Qwen3-8B", revision="main")) == "Qwen/Qwen3-8B"
    assert resolve_source(ModelConfig(embedded="tiny")) == "tiny"


@pytest.mark.parametrize("path", ["./modle", "/no/such/folder", "~/no/such/folder"])
def test_what_looks_like_a_folder_is_never_taken_for_a_hub_id(path: str) -> None:
    with pytest.raises(ConfigError, match=r"does not exist. Give a folder with config.json"):
        check_source(ModelConfig(path=path))


def test_too_many_slashes_are_no_hub_id() -> None:
    with pytest.raises(ConfigError, match="neither a folder that exists nor a hub id"):
        check_source(ModelConfig(path="models/llama/8b"))


def test_a_file_is_not_a_folder(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        check_source(ModelConfig(path=str(folder / "config.json")))


def test_a_folder_without_config_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")

    with pytest.raises(ConfigError, match=r"has no config.json, .* Found: notes.txt\."):
        check_source(ModelConfig(path=str(tmp_path)))


def test_a_folder_without_weights_names_what_is_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no \*.safetensors. Found: config.json\."):
        check_source(ModelConfig(path=str(folder)))


def test_a_config_that_is_not_json_is_the_users_to_mend(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    (folder / "model.safetensors").write_bytes(b"")

    with pytest.raises(ConfigError, match="is not JSON"):
        check_source(ModelConfig(path=str(folder)))


def test_weights_that_are_quantized_already_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq"}}))

    with pytest.raises(ConfigError, match="is quantized already"):
        check_source(ModelConfig(path=str(folder)))


def test_a_revision_of_a_local_folder_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.revision=main is for hub models"):
        check_source(ModelConfig(path=str(tiny_folder), revision="main"))


def test_an_unknown_embedded_name_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"model.embedded=tinny is not known. Did you mean tiny\?"):
        check_source(ModelConfig(embedded="tinny"))


def test_no_model_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"neither model.path nor model.embedded is set"):
        check_source(ModelConfig(embedded=None))


def test_the_check_and_the_imports_it_needs_do_not_load_torch() -> None:
    program = (
        "import sys, tune.model.assets, tune.model.load, tune.model.adapt, tune.model.quantize, tune.model.targets\n"
        "from tune.config.model import ModelConfig\n"
        "from tune.model.source import check_source\n"
        "check_source(ModelConfig())\n"
        "print(sorted({'torch', 'transformers', 'peft', 'bitsandbytes', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert done.stdout.strip() == "[]"
