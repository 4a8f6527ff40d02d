"""Points to try first: in the space, tried first, once, whoever dies."""

from pathlib import Path
from typing import Any

import pytest

from tests.study.test_attempts import DONE
from tests.study.test_space import sweep
from tune.config.compose import compose
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.study.attempts import end, reap
from tune.study.claim import Claim, claim, enqueue_grid
from tune.study.signature import sign
from tune.study.space import describe, grid, parse_space
from tune.study.storage import StudyFolder, open_study, snapshot

SPACE = {
    "lora.rank": [4, 16],
    "lora.alpha": {"times": "lora.rank", "choices": [1, 2]},
    "train.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "quantization.double": {"choices": [True, False], "when": {"quantization.kind": ["nf4"]}},
}


def started(runs: Path, first: list[dict[str, Any]], *words: str) -> tuple[Any, Config]:
    config = compose(["+sweep=smoke", "study.sampler=random", "study.n_trials=4", *words])
    assert config.sweep is not None
    config.sweep.space, config.sweep.first = SPACE, first
    study, _ = open_study(config, runs)
    enqueue_grid(study, config)
    return study, config


def take(study: Any, config: Config) -> Claim:
    claimed = claim(study, config, parse_space(config), worker=sign())
    assert claimed is not None
    return claimed


def test_first_points_are_tried_first_and_the_rest_is_drawn(tmp_path: Path) -> None:
    first = [{"lora.rank": 16, "lora.alpha": 32, "train.learning_rate": 2e-4}, {"lora.rank": 4}]
    study, config = started(tmp_path, first)

    points = [take(study, config).point for _ in range(4)]

    assert points[0] == {"lora.rank": 16, "lora.alpha": 32, "train.learning_rate": 2e-4}
    assert points[1]["lora.rank"] == 4
    assert set(points[1]) == {"lora.rank", "lora.alpha", "train.learning_rate"}
    assert len({point["train.learning_rate"] for point in points}) == 4
    assert claim(study, config, parse_space(config), worker=sign()) is None


def test_first_points_are_not_queued_twice_when_a_study_goes_on(tmp_path: Path) -> None:
    study, config = started(tmp_path, [{"lora.rank": 16}, {"lora.rank": 4}])
    enqueue_grid(study, config)
    end(study, take(study, config).number, DONE, value=0.5)

    study, config = started(tmp_path, [{"lora.rank": 16}, {"lora.rank": 4}])

    assert len(study.get_trials(deepcopy=False)) == 2


def test_a_first_point_whose_worker_died_is_tried_again_and_not_queued_anew(tmp_path: Path) -> None:
    study, config = started(tmp_path, [{"lora.rank": 16}])
    nobody = f"{sign().split()[0]} 4194999 0.00"
    lost = claim(study, config, parse_space(config), worker=nobody)
    reap(study, grace_s=1e9, retries=2)
    enqueue_grid(study, config)

    again = take(study, config)

    assert lost is not None
    assert (again.root, again.attempt, again.point) == (lost.root, 2, lost.point)
    assert len(study.get_trials(deepcopy=False)) == 2


def test_a_study_of_fewer_trials_than_first_points_tries_as_many(tmp_path: Path) -> None:
    study, config = started(tmp_path, [{"lora.rank": 16}, {"lora.rank": 4}], "study.n_trials=1")

    take(study, config)

    assert claim(study, config, parse_space(config), worker=sign()) is None


def test_a_first_point_that_is_completed_to_a_rejected_one_is_completed_anew(tmp_path: Path) -> None:
    study, config = started(tmp_path, [{"lora.rank": 16}])
    assert config.sweep is not None
    config.sweep.reject = ["train.learning_rate > 2e-5 and lora.rank == 16"]

    points = [take(study, config).point for _ in range(4)]

    assert any(point["lora.rank"] == 16 for point in points)
    assert all(point["lora.rank"] == 4 or point["train.learning_rate"] <= 2e-5 for point in points)


def test_a_grid_begins_with_the_cells_that_fit() -> None:
    config = sweep({"lora.rank": [4, 8, 16], "lora.targets": ["qv", "mlp"]})
    assert config.sweep is not None
    config.sweep.first = [{"lora.rank": 16, "lora.targets": "mlp"}, {"lora.rank": 8}]

    ranks = [(cell["lora.rank"], cell["lora.targets"]) for cell in grid(parse_space(config), config)]

    assert ranks == [(16, "mlp"), (8, "qv"), (8, "mlp"), (4, "qv"), (4, "mlp"), (16, "qv")]


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ({"lora.rank": 5}, r"first\[0\] has lora.rank=5, which does not lie.*one of 4, 16"),
        ({"lora.rank": "4"}, "does not lie"),
        ({"train.learning_rate": 0.1}, "from 1e-05 to 0.01"),
        ({"train.learning_rate": "2e-4"}, "does not lie"),
        ({"lora.alpha": 32}, "depends on lora.rank: name that too"),
        ({"lora.rank": 4, "lora.alpha": 32}, r"one of 4, 8 \(lora.rank times a factor\)"),
        ({"lora.rnk": 4}, "lora.rnk"),
        ({"lora.dropout": 0.1}, "sweep.space has no lora.dropout"),
        ({"quantization.double": True}, r"exists only where quantization.kind in \['nf4'\]"),
        ({"lora.rank": 16, "lora.alpha": 32}, "rejects the first point"),
    ],
)
def test_a_first_point_outside_the_space_is_refused(first: dict, words: str) -> None:
    config = compose(["+sweep=smoke", "study.sampler=random", "study.n_trials=4"])
    assert config.sweep is not None
    config.sweep.space, config.sweep.first, config.sweep.reject = SPACE, [first], "lora.alpha == 32"

    with pytest.raises(ConfigError, match=words):
        parse_space(config)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ([{"lora.targets": "all_linear"}], r"first\[0\]=.* names no key of sweep.space"),
        ([{"lora.rank": 4}, {"lora.rank": 4}], r"first\[1\]=.* is sweep.first\[0\] again"),
    ],
)
def test_a_first_point_that_says_nothing_new_is_refused(first: list[dict], words: str) -> None:
    config = sweep({"lora.rank": [4, 16]})
    assert config.sweep is not None
    config.sweep.first = first

    with pytest.raises(ConfigError, match=words):
        parse_space(config)


def test_a_grid_refuses_a_first_point_that_it_leaves_out() -> None:
    config = sweep({"lora.rank": [4, 16]})
    assert config.sweep is not None
    config.sweep.first, config.sweep.reject = [{"lora.rank": 16}], "lora.rank > 8"

    with pytest.raises(ConfigError, match=r"`lora.rank > 8` rejects the first point {'lora.rank': 16}"):
        parse_space(config)


def test_a_grid_begins_with_a_first_point_between_the_ends_of_a_range() -> None:
    config = sweep({"lora.dropout": {"low": 0.0, "high": 0.3, "step": 0.05}})
    assert config.sweep is not None
    config.sweep.first = [{"lora.dropout": 0.15}]  # three steps of 0.05 are 0.15000000000000002

    assert grid(parse_space(config), config)[0]["lora.dropout"] == pytest.approx(0.15)


def test_a_first_point_may_name_what_the_configuration_has_anyway() -> None:
    config = compose(["+sweep=smoke", "study.sampler=random", "study.n_trials=4"])
    assert config.sweep is not None
    config.sweep.space, config.sweep.first = SPACE, [{"lora.rank": 16, "lora.targets": "all_linear"}]

    assert parse_space(config).first == ({"lora.rank": 16},)


def test_points_are_shown_with_the_values_that_are_run(tmp_path: Path) -> None:
    study, config = started(tmp_path, [{"lora.rank": 16, "lora.alpha": 32}])

    waiting = snapshot(study, StudyFolder(runs=tmp_path, name="smoke")).trials[0]

    assert waiting.parameters == {"lora.rank": 16, "lora.alpha": 32}
    assert describe(parse_space(config), config) == [("first", "lora.rank=16, lora.alpha=32")]
