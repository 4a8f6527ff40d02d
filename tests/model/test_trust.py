"""What a model's folder may not do, seen without torch and without opening a pickle."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tune.config.model import ModelConfig
from tune.config.recipe import QuantizationConfig
from tune.errors import AssetError, ConfigError
from tune.model.load import load_base
from tune.model.source import check_folder, check_source

CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
Path({trace!r}).touch()

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""
MAP = {"AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Exists once something ran."""
    return tmp_path / "ran"


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path, trace: Path) -> Path:
    """The tiny model, with code of its own that nobody asks for yet."""
    shutil.copytree(tiny_folder, tmp_path / "model", ignore=shutil.ignore_patterns("manifest.json"))
    (tmp_path / "model" / "modeling_own.py").write_text(CODE.format(trace=str(trace)))
    return tmp_path / "model"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **changes}))


def own(folder: Path) -> ModelConfig:
    return ModelConfig(path=str(folder), code_from=str(folder))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("inside", [False, True])
def test_code_in_a_folder_is_refused_with_the_setting_that_allows_it(folder: Path, file: str, inside: bool) -> None:
    edit(folder / file, **({"text_config": {"auto_map": MAP}} if inside else {"auto_map": MAP}))

    with pytest.raises(ConfigError) as error:
        check_source(ModelConfig(path=str(folder)))

    for part in ("Python code", "modeling_own.", f"model.code_from={folder}", "delete auto_map"):
        assert part in str(error.value)


def test_code_of_a_hub_model_is_not_needed_where_transformers_has_the_class(folder: Path) -> None:
    # As in microsoft/Phi-4-mini-instruct; its *.py files are not even fetched.
    edit(folder / "config.json", auto_map=MAP)
    check_folder(folder, ModelConfig(path="somebody/model"))

    edit(folder / "config.json", auto_map=MAP, model_type="own")
    with pytest.raises(
        ConfigError, match=r"model.path=somebody/model wants to run Python code .*code_from=somebody/mo"
    ):
        check_folder(folder, ModelConfig(path="somebody/model"))


def test_permission_does_not_reach_code_of_another_model(folder: Path) -> None:
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "evil/model--modeling.Evil"})

    with pytest.raises(ConfigError, match=r"another model \(evil/model--modeling.Evil\)"):
        check_source(own(folder))


def test_allowed_code_runs_and_counts_as_part_of_the_model(folder: Path, trace: Path, tmp_path: Path) -> None:
    edit(folder / "config.json", auto_map=MAP, model_type="own")
    program = (
        "import sys\n"
        "from tune.config.recipe import QuantizationConfig\n"
        "from tune.config.model import ModelConfig\n"
        "from tune.model.load import load_base\n"
        "model = ModelConfig(path=sys.argv[1], code_from=sys.argv[1])\n"
        "base = load_base(model, QuantizationConfig(), folder=sys.argv[1])\n"
        "print(type(base.model).__name__, base.digest)\n"
    )

    def load() -> list[str]:
        # The code is copied to where transformers keeps such; in a process of its own, which reads the variable once.
        environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")}
        command = [sys.executable, "-W", "ignore", "-c", program, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    name, digest = load()
    assert name == "OwnForCausalLM"
    assert trace.exists()

    (folder / "modeling_own.py").write_text((folder / "modeling_own.py").read_text() + "\n# another\n")
    assert load()[1] != digest


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_a_kernel_from_the_hub_is_refused_even_for_a_model_whose_own_code_may_run(folder: Path, key: str) -> None:
    edit(folder / "config.json", **{key: "evil/attention"})

    with pytest.raises(ConfigError, match=r"\(evil/attention\), which would be fetched from the hub and run"):
        check_source(own(folder))


@pytest.mark.parametrize("name", ["evil.bin", "../evil.safetensors", "/evil.safetensors", "sub/evil.safetensors"])
def test_an_index_may_name_only_safetensors_of_its_folder(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    edit(folder / "model.safetensors.index.json", metadata={}, weight_map={"a": "model-1.safetensors", "b": name})

    with pytest.raises(ConfigError, match=r"model.safetensors.index.json names .*evil.* as weights"):
        check_source(ModelConfig(path=str(folder)))


def test_config_may_not_name_a_pickle_as_the_weights(folder: Path, trace: Path) -> None:
    edit(folder / "config.json", transformers_weights="adapter_model.bin")
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(trace)))

    with pytest.raises(ConfigError, match=r"config.json names adapter_model.bin as weights"):
        load_base(ModelConfig(path=str(folder)), QuantizationConfig(), folder=folder)
    assert not trace.exists()


def test_an_adapter_beside_the_base_is_refused(folder: Path) -> None:
    edit(folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path="evil/model")

    with pytest.raises(ConfigError, match=r"holds an adapter \(adapter_config.json\)"):
        check_source(ModelConfig(path=str(folder)))


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", pickle.dumps({"a": 1})])
def test_what_is_only_called_safetensors_is_refused(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)

    with pytest.raises(ConfigError, match=r"model.safetensors is no safetensors file, whatever its name"):
        check_source(ModelConfig(path=str(folder)))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["[]", "[" * 100_000, "\ud800"])
def test_settings_that_are_no_json_object_are_the_users_to_mend(folder: Path, file: str, content: str) -> None:
    (folder / file).write_bytes(content.encode("utf-8", "surrogatepass"))

    with pytest.raises(ConfigError, match=rf"{file} is (?:not )?JSON"):
        check_source(ModelConfig(path=str(folder)))


def test_pickles_beside_a_whole_model_are_left_alone(folder: Path, trace: Path) -> None:
    names = ["pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "tokenizer.pkl"]
    for name in [*names, "vocab.bin", "consolidated.00.pth"]:
        (folder / name).write_bytes(pickle.dumps(Bomb(trace)))

    base = load_base(ModelConfig(path=str(folder)), QuantizationConfig(), folder=folder)

    assert base.model.num_parameters() > 0
    assert not trace.exists()


def test_a_pickle_under_the_name_of_a_tokenizer_is_not_unpickled(folder: Path, trace: Path) -> None:
    (folder / "tokenizer.json").write_bytes(pickle.dumps(Bomb(trace)))

    with pytest.raises(AssetError, match="cannot be loaded"):
        load_base(ModelConfig(path=str(folder)), QuantizationConfig(), folder=folder)
    assert not trace.exists()
