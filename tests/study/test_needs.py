"""An optimizer that needs a GPU, or a package, is refused before anything starts where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tune.config.compose import compose
from tune.errors import ConfigError
from tune.study import machine, needs
from tune.study.needs import refuse_missing
from tune.study.space import read_space

GROUPS = """
sweep:
  name: own
  space:
    train: [default, paged]
study:
  sampler: grid
"""


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "n_gpus", lambda: 0)


def test_a_paged_optimizer_is_refused_with_a_way_out() -> None:
    with pytest.raises(ConfigError, match=r"train\.optimizer=paged_adamw_8bit needs a GPU.*adamw_8bit.*cuda"):
        refuse_missing(compose(["train.optimizer=paged_adamw_8bit"]))


def test_every_searched_optimizer_is_asked_and_the_one_that_none_has_is_not() -> None:
    searched = "+sweep.space={train.optimizer:[adamw,paged_adamw_32bit]}"
    config = compose(["+sweep=smoke", searched])
    others = compose(["+sweep=smoke", "+sweep.space={train.optimizer:[adamw,sgd]}", "train.optimizer=paged_adamw_8bit"])

    with pytest.raises(ConfigError, match="paged_adamw_32bit needs a GPU"):
        refuse_missing(config, read_space(config))
    refuse_missing(others, read_space(others))


def test_options_of_the_group_are_asked_too(tmp_path: Path) -> None:
    for group, option, text in (("train", "paged", "optimizer: paged_adamw_8bit\n"), ("sweep", "own", GROUPS)):
        (tmp_path / group).mkdir()
        head = "# @package _global_" if group == "sweep" else ""
        (tmp_path / group / f"{option}.yaml").write_text(f"{head}\n{text}")
    config = compose(["+sweep=own"], config_dir=tmp_path)

    with pytest.raises(ConfigError, match="paged_adamw_8bit needs a GPU"):
        refuse_missing(config, read_space(config))


def test_galore_without_its_package_is_refused_with_the_command_that_installs_it(monkeypatch) -> None:
    refuse_missing(compose(["train.optimizer=galore"]))
    monkeypatch.setattr(needs, "find_spec", lambda _: None)

    with pytest.raises(ConfigError, match=r"galore needs the package galore-torch.*pip install 'loratune\[galore\]'"):
        refuse_missing(compose(["train.optimizer=galore"]))


@pytest.mark.parametrize(
    ("gpus", "visible", "there"), [(1, None, True), (1, "0", True), (1, "", False), (0, "0", False)]
)
def test_a_gpu_is_seen_where_it_is_and_not_hidden(monkeypatch, gpus: int, visible: str | None, there: bool) -> None:
    monkeypatch.setattr(machine, "n_gpus", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert machine.sees_gpu() is there


@pytest.mark.parametrize(
    "words", [["train.optimizer=paged_adamw_8bit"], ["train.optimizer=adafactor", "train.momentum=0.9"]]
)
def test_it_is_said_with_code_2_and_without_torch(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from tune.cli import main; code = main(sys.argv[1:]); "
        "print(code, sorted({'torch', 'transformers', 'mlflow'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *words, f"track.folder={tmp_path}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    )

    assert done.stdout == "2 []\n"
    assert done.stderr.startswith("tune: train.")
