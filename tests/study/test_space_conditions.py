"""Dimensions that exist only at some points, and options of whole groups."""

import itertools
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.study.test_attempts import DONE
from tests.study.test_space import sweep
from tune.config.compose import compose, from_yaml, leaves, to_yaml
from tune.config.schema import Config, Sampler
from tune.errors import ConfigError
from tune.study.attempts import end
from tune.study.claim import claim, repeat_command
from tune.study.signature import sign
from tune.study.space import configured, grid, parse_space, read_space, suggest
from tune.study.space.draw import random_points
from tune.study.storage import open_study

QLORA = {
    "quantization.kind": ["none", "nf4"],
    "quantization.double": {"choices": [True, False], "when": {"quantization.kind": ["nf4"]}},
}


def grouped(folder: Path, space: str, *words: str) -> Config:
    """Compose a sweep of the user's own over this space."""
    (folder / "sweep").mkdir(exist_ok=True)
    text = f"# @package _global_\nsweep:\n  name: mine\n  space: {space}\nstudy:\n  sampler: grid\n"
    (folder / "sweep" / "mine.yaml").write_text(text)
    return compose(["+sweep=mine", *words], config_dir=folder)


def test_a_conditional_dimension_makes_no_doubled_cells() -> None:
    config = sweep(QLORA)

    assert grid(parse_space(config), config) == [
        {"quantization.kind": "none"},
        {"quantization.kind": "nf4", "quantization.double": True},
        {"quantization.kind": "nf4", "quantization.double": False},
    ]


def test_a_condition_may_look_at_the_configuration_and_then_the_configured_value_stands() -> None:
    space = {"lora.rank": [4, 8], "quantization.double": QLORA["quantization.double"]}
    config = sweep(space)

    assert grid(parse_space(config), config) == [{"lora.rank": 4}, {"lora.rank": 8}]
    assert configured(config, {"lora.rank": 8}).quantization.double is False

    four_bit = compose(["quantization=nf4"])
    four_bit.sweep, four_bit.study.sampler = config.sweep, Sampler.grid
    assert len(grid(parse_space(four_bit), four_bit)) == 4


def test_conditions_of_conditions_by_hand() -> None:
    config = sweep(
        {
            "lora.dropout": {"choices": [0.0, 0.1], "when": {"lora.targets": ["qv"], "lora.rank": 8}},
            "lora.targets": {"choices": ["qv", "mlp"], "when": {"lora.rank": [8, 16]}},
            "lora.rank": [4, 8, 16],
            "lora.alpha": {"times": "lora.rank", "choices": [2], "when": {"lora.rank": [16]}},
        }
    )
    space = parse_space(config)

    cells = [tuple(cell.values()) for cell in grid(space, config)]
    # dropout first where it is there; a cell without it stands before those with it
    assert cells == [(4,), ("qv", 16, 2.0), ("mlp", 8), ("mlp", 16, 2.0), (0.0, "qv", 8), (0.1, "qv", 8)]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            {
                "lora.rank": {"choices": [4, 8], "when": {"lora.targets": ["qv"]}},
                "lora.targets": {"choices": ["qv", "mlp"], "when": {"lora.rank": [4]}},
            },
            r"circle \(lora.rank → lora.targets → lora.rank\)",
        ),
        ({"lora.rank": {"choices": [4], "when": {"lora.rank": [4]}}}, r"circle \(lora.rank → lora.rank\)"),
        ({"lora.rank": {"choices": [4], "when": {"lora.target": ["qv"]}}}, r"lora.target does not exist.*lora.targets"),
        ({"lora.rank": {"choices": [4], "when": {"quantization.kind": ["nf5"]}}}, "quantization.kind=nf5"),
        ({"lora.rank": {"choices": [4], "when": {"quantization": ["nf4"]}}}, "whole group"),
        ({"lora.rank": {"choices": [4], "when": {"study.seed": [0]}}}, "says nothing about a trial"),
        ({"lora.rank": {"choices": [4], "when": {}}}, "no condition"),
        ({"lora.rank": {"choices": [4], "when": {"lora.targets": []}}}, "no condition"),
        (
            {"lora.rank": {"choices": [4], "when": {"lora.targets": ["mpl"]}}, "lora.targets": ["qv", "mlp"]},
            "mpl, a value that lora.targets never has.*mlp",
        ),
        ({"lora.rank": {"choices": [0], "when": {"lora.targets": ["qv"]}}, "lora.targets": ["qv"]}, "lora.rank=0"),
        ({"lora.rank": {"choices": ["a"], "when": {"lora.targets": ["qv"]}}}, "lora.rank=a"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(space: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_space(sweep(space))


VALUES = ["qv", "attention", "mlp"]
KEYS = {"lora.targets": VALUES, "lora.rank": [2, 4, 8], "train.batch_size": [1, 2], "train.accumulation": [1, 2]}


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Any]:
    """Spaces in which each key may depend on the ones before it, in any order of writing."""
    space: dict[str, Any] = {}
    for key, choices in KEYS.items():
        before = draw(st.lists(st.sampled_from(list(space)), unique=True, max_size=2)) if space else []
        when = {k: draw(st.lists(st.sampled_from(KEYS[k]), unique=True, min_size=1)) for k in before}
        space[key] = {"choices": choices, "when": when} if when else choices
    return {key: space[key] for key in draw(st.permutations(list(space)))}


@settings(max_examples=25, deadline=None)
@given(spaces())
def test_a_grid_is_what_all_combinations_come_to_when_what_does_not_exist_is_left_out(space: dict) -> None:
    config = sweep(space)
    wanted = set()
    for combination in itertools.product(*KEYS.values()):
        point = dict(zip(KEYS, combination, strict=True))
        there: dict[str, Any] = {}
        for key in KEYS:  # in the order in which they depend on each other
            when = space[key].get("when", {}) if isinstance(space[key], dict) else {}
            default = {"lora.targets": "all_linear", "lora.rank": 16, "train.batch_size": 4, "train.accumulation": 1}
            if all(there.get(k, default[k]) in allowed for k, allowed in when.items()):
                there[key] = point[key]
        wanted.add(tuple(sorted(there.items())))

    parsed = read_space(config)
    cells = [tuple(sorted(cell.items())) for cell in grid(parsed, config)]

    assert len(set(cells)) == len(cells)
    assert set(cells) == wanted
    drawn = random_points(parsed.order, config, seed=0, n=20, fixed={})
    assert {tuple(sorted(point.items())) for _, point in drawn} <= wanted


def test_tpe_draws_a_conditional_space_in_groups(tmp_path: Path) -> None:
    config = compose(["+sweep=smoke", "study.sampler=tpe", "study.n_trials=24"])
    assert config.sweep is not None
    config.sweep.space = {
        **QLORA,
        "train.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True, "when": {"quantization.kind": ["none"]}},
    }
    study, _ = open_study(config, tmp_path)
    space = parse_space(config)

    points = []
    while claimed := claim(study, config, space, worker=sign()):
        points.append(claimed.point)
        end(study, claimed.number, DONE, value=float(claimed.point["quantization.kind"] == "nf4"))

    assert len(points) == 24
    assert {tuple(sorted(point)) for point in points} == {
        ("quantization.kind", "train.learning_rate"),
        ("quantization.double", "quantization.kind"),
    }
    assert sum(point["quantization.kind"] == "nf4" for point in points[12:]) > 6, "it has learned which is better"


def test_options_of_a_group_stand_below_what_the_user_says(tmp_path: Path) -> None:
    config = grouped(tmp_path, "{quantization: [none, nf4], lora.rank: [4]}", "quantization.double=false")
    space = parse_space(config)

    points = [suggest(space, _Fixed(cell), config) for cell in grid(space, config)]

    assert points == [{"quantization": "none", "lora.rank": 4}, {"quantization": "nf4", "lora.rank": 4}]
    four_bit = configured(config, points[1])
    assert (four_bit.quantization.kind, four_bit.quantization.double, four_bit.lora.rank) == ("nf4", False, 4)
    assert configured(config, points[0]).quantization.kind == "none"


def test_a_searched_option_replaces_the_one_that_the_user_took(tmp_path: Path) -> None:
    config = grouped(tmp_path, "{quantization: [none, nf4]}", "quantization=nf4")

    kinds = [configured(config, {"quantization": option}).quantization.kind for option in ("none", "nf4")]

    assert kinds == ["none", "nf4"]


def test_the_command_of_a_trial_repeats_its_options(tmp_path: Path) -> None:
    words = ["data.n_train=99", "model=tiny", "data.path=rows"]
    config = grouped(tmp_path, "{data: [text_to_sql, gsm8k], quantization: [nf4]}", *words)
    trial = configured(config, {"data": "gsm8k", "quantization": "nf4"})

    repeated = compose([word for word in shlex.split(repeat_command(trial))[3:] if not word.startswith("workers.")])

    assert (repeated.data, repeated.quantization, repeated.model) == (trial.data, trial.quantization, trial.model)
    assert (trial.data.format, trial.data.n_train, trial.data.metrics) == ("gsm8k", 99, ["numeric"])


def test_a_worker_knows_the_options_without_the_files_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "wide.yaml").write_text("rank: 64\nalpha: 128\n")
    config = grouped(tmp_path, "{lora: [lora, wide], lora.dropout: {choices: [0.1], when: {lora.rank: [64]}}}")

    stored = from_yaml(to_yaml(config))

    assert leaves(stored) == leaves(config)
    assert grid(parse_space(stored), stored) == [{"lora": "lora"}, {"lora": "wide", "lora.dropout": 0.1}]
    assert configured(stored, {"lora": "wide"}).lora.alpha == 128


def test_a_dimension_may_depend_on_a_group_and_override_its_option(tmp_path: Path) -> None:
    space = "{quantization.double: {choices: [true, false], when: {quantization: nf4}}, quantization: [none, nf4]}"
    config = grouped(tmp_path, space)

    assert len(grid(parse_space(config), config)) == 3
    point = {"quantization": "nf4", "quantization.double": False}
    assert configured(config, point).quantization.double is False


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("{quantization: [none, nf5]}", "sweep.space.quantization: quantization=nf5.*nf4"),
        ("{quantization: {low: 1, high: 2}}", "quantization is a config group"),
        ("{quantization: [1, 2]}", "quantization is a config group"),
        ("{study: [default]}", "study"),
    ],
)
def test_options_that_there_are_not_are_refused(tmp_path: Path, space: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_space(grouped(tmp_path, space))


def test_options_that_an_override_makes_alike_are_refused(tmp_path: Path) -> None:
    words = (
        "quantization=none and quantization=nf4 make the same trial where quantization.kind=nf4 quantization.double=fal"
    )
    with pytest.raises(ConfigError, match=words):
        grouped(tmp_path, "{quantization: [none, nf4]}", "quantization.kind=nf4", "quantization.double=false")


def test_two_points_that_mean_one_configuration_are_twins(tmp_path: Path) -> None:
    config = grouped(tmp_path, "{quantization: [none, nf4], lora.rank: {choices: [16], when: {quantization: nf4}}}")
    config.sweep.space["quantization.kind"] = ["nf4"]
    study, _ = open_study(config, tmp_path)
    claimed = [claim(study, config, parse_space(config), worker=sign()) for _ in range(2)]

    assert [each.point.get("lora.rank") for each in claimed if each] == [None, 16]
    assert [each.twin for each in claimed if each] == [None, 0]


class _Fixed:
    """Suggests what it was given."""

    def __init__(self, cell: dict[str, Any]) -> None:
        self.cell = cell

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        assert self.cell[name] in choices
        return self.cell[name]
