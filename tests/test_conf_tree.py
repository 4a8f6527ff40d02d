"""Every option of every group and every sweep composes; the count says that none was missed."""

import pytest

from tune import paths
from tune.config import rules
from tune.config.compose import compose, sweep_names
from tune.study.space import parse_space

OPTIONS = sorted((file.parent.name, file.stem) for file in paths.conf_dir().glob("*/*.yaml"))
NEEDS = {
    "gsm8k": ["data.path=somewhere"],
    "banking77": ["data.path=somewhere"],
    "jsonl": ["data.path=somewhere"],
    "code": ["data.path=somewhere"],
    "hub": ["data.path=some/where"],
    "loftq": ["quantization=nf4"],
}

SWEEP_NEEDS = {"mix_share": ["data.mix.path=somewhere"]}


def test_nine_groups_and_all_their_options_are_found() -> None:
    assert len({group for group, _ in OPTIONS}) == 9
    assert len(OPTIONS) == 40


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_an_option_composes_and_opens_with_its_question_and_command(group: str, option: str) -> None:
    rules.check(compose([f"{group}={option}", *NEEDS.get(option, [])]))

    first, second = (paths.conf_dir() / group / f"{option}.yaml").read_text().splitlines()[:2]
    assert first.startswith("# ")
    assert "?" in first
    assert second.startswith("#   python -m tune ")


@pytest.mark.parametrize("sweep", sweep_names())
@pytest.mark.parametrize("model", ["tiny", "llama31_8b"])
def test_a_sweep_composes_with_any_model(sweep: str, model: str) -> None:
    config = compose([f"+sweep={sweep}", f"model={model}", *SWEEP_NEEDS.get(sweep, [])])

    rules.check(config)
    parse_space(config)
    assert config.sweep is not None
    assert config.sweep.name == sweep
    text = (paths.sweeps_dir() / f"{sweep}.yaml").read_text()
    assert f"python -m tune +sweep={sweep}" in text
