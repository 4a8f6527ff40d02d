"""What a sweep's space means, and what it must not be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.config.compose import compose
from tune.config.schema import Config, Sampler, SweepConfig
from tune.errors import ConfigError
from tune.study.space import Choices, Space, Span, Tied, grid, parse_space, suggest


def sweep(space: dict) -> Config:
    config = compose([])
    config.sweep = SweepConfig(name="s", space=space)
    config.study.sampler = Sampler.grid
    return config


def test_a_tied_key_is_a_multiple_of_another_key() -> None:
    import optuna

    config = sweep({"lora.rank": [4, 8], "lora.alpha": {"times": "lora.rank", "choices": [1, 2]}})
    space = parse_space(config)

    assert space.dimensions == (Choices("lora.rank", (4, 8)), Tied("lora.alpha", "lora.rank", (1.0, 2.0)))
    cells = grid(space, config)
    assert cells == [
        {"lora.rank": 4, "lora.alpha/lora.rank": 1.0},
        {"lora.rank": 4, "lora.alpha/lora.rank": 2.0},
        {"lora.rank": 8, "lora.alpha/lora.rank": 1.0},
        {"lora.rank": 8, "lora.alpha/lora.rank": 2.0},
    ]
    points = [suggest(space, optuna.trial.FixedTrial(cell), config) for cell in cells]
    assert [(point["lora.rank"], point["lora.alpha"]) for point in points] == [(4, 4), (4, 8), (8, 8), (8, 16)]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({}, "empty"),
        ({"lora.rank": []}, "no choices"),
        ({"lora.rank": [0, 4]}, "lora.rank=0"),
        ({"lora.rank": 4}, "a list of choices"),
        ({"lora.rnk": [4]}, "lora.rnk"),
        ({"lora.rank": [4, 4]}, "different"),
        ({"train.learning_rate": {"low": 1e-3, "high": 1e-5}}, "low must not be above high"),
        ({"train.learning_rate": {"low": 0.0, "high": 1e-5, "log": True}}, "starts above 0"),
        ({"train.learning_rate": {"low": "1e-5", "high": 1e-3}}, "must be numbers"),
        ({"train.learning_rate": {"low": 1e-5}}, "give a list"),
        ({"lora.rank": {"low": 4, "high": 64, "step": 0.5}}, "lora.rank=4.5 is not allowed"),
        (
            {"lora.rank": {"low": 1, "high": 10, "step": 4}},
            "do not end at high=10, and both ends are included. Take high=9",
        ),
        ({"lora.rank": {"low": 2, "high": 8, "log": "false"}}, "must be true or false, without quotes"),
        ({"lora.alpha": {"times": "lora.rnk", "choices": [1]}}, "lora.rnk"),
        ({"lora.alpha": {"times": "lora.targets", "choices": [1]}}, "no number"),
        ({"lora.alpha": {"times": "lora.rank", "choices": [-1]}}, "above 0"),
        ({"lora.targets": ["qv", "nothing"]}, "nothing"),
        ({"study.seed": [0, 1]}, "says nothing about a trial"),
        ({"quantization": ["none", "nf4"]}, "whole group"),
        ({"model.label": ["a"]}, "model.label does not exist"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        parse_space(sweep(space))


def test_a_range_without_steps_is_no_grid() -> None:
    with pytest.raises(ConfigError, match="without steps"):
        parse_space(sweep({"train.learning_rate": {"low": 1e-5, "high": 1e-3}}))


def test_steps_of_a_range_by_hand() -> None:
    dropout = {"low": 0.0, "high": 0.1, "step": 0.05}
    config = sweep({"lora.dropout": dropout, "lora.rank": {"low": 2, "high": 3}})

    assert [list(cell.values()) for cell in grid(parse_space(config), config)] == [
        [0.0, 2], [0.0, 3], [0.05, 2], [0.05, 3], [0.1, 2], [0.1, 3],
    ]  # fmt: skip


@given(low=st.integers(1, 50), width=st.integers(0, 50), seed=st.integers(0, 5))
def test_a_drawn_value_lies_in_its_range(low: int, width: int, seed: int) -> None:
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    span = Span(key="lora.rank", low=low, high=low + width, log=False, step=None, whole=True)

    point = suggest(Space(dimensions=(span,), order=(span,)), study.ask(), Config())

    assert low <= point["lora.rank"] <= low + width
    assert isinstance(point["lora.rank"], int)
