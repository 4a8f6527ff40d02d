"""What a person reads before a study starts: nothing that no trial is run with."""

from pathlib import Path
from typing import Any

from tests.study.test_space import sweep
from tune.config.compose import compose, with_values
from tune.data.account import Account
from tune.data.splits import NAMES, make_splits
from tune.study.space import parse_space
from tune.study.summary import overridden, summary


def rows(config: Any) -> dict[str, str]:
    splits = make_splits(dict.fromkeys(NAMES, ()), Account(source="no rows", n_read=0, taken=(), held={}))
    return dict(summary(config, parse_space(config), Path("runs"), splits, how_far="new"))


def test_an_override_of_what_is_searched_is_said_to_have_no_effect() -> None:
    config = with_values(sweep({"lora.rank": [4, 8]}), {"lora.rank": 64, "lora.dropout": 0.1, "model.embedded": "tiny"})

    found = rows(config)

    assert found["overrides"] == "model.embedded=tiny lora.dropout=0.1"
    assert found["no effect"].startswith("lora.rank=64: every trial has a value of its own")


def test_where_a_key_is_not_searched_the_configured_value_stands() -> None:
    space = {"lora.method": ["lora", "dora"], "lora.rank": {"choices": [4], "when": {"lora.method": ["dora"]}}}
    config = with_values(sweep(space), {"lora.rank": 64})

    assert overridden(parse_space(config), config) == []
    assert "no effect" not in rows(config)


def test_a_searched_quantization_is_not_told_as_one() -> None:
    config = compose(["+sweep=quantization", "model=tiny", "quantization=nf4"])

    assert overridden(parse_space(config), config) == ["quantization.kind=nf4"]
    assert rows(config)["model"] == "tiny, quantization searched"
