"""Pruning on recorded trainings saves at least half of the steps; the table covers the space of +sweep=joint."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "surrogate.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("surrogate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["surrogate"] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    return module


def test_a_rate_between_two_recorded_ones_has_the_curve_between_theirs(script: Any) -> None:
    def row(rate: float, losses: list[float]) -> dict[str, Any]:
        point = {"lora.rank": 4, "lora.alpha": 8, "lora.targets": "qv", "train.learning_rate": rate}
        return {"point": point, "evals": [[2, losses[0]]], "steps": 4, "loss": losses[1]}

    table = {"words": [], "rates": [1e-5, 1e-3], "rows": [row(1e-5, [8.0, 6.0]), row(1e-3, [4.0, 1.0])]}
    middle = {"lora.rank": 4, "lora.alpha": 8, "lora.targets": "qv", "train.learning_rate": 1e-4}

    curve = script.Surrogate(table).train(middle)

    # 1e-4 is half way from 1e-5 to 1e-3 in logarithms: (8 + 4) / 2 and (6 + 1) / 2
    assert curve.steps == (2, 4)
    assert curve.losses == pytest.approx((6.0, 3.5))


def test_the_table_has_more_than_a_hundred_trainings_of_the_whole_space(script: Any) -> None:
    surrogate = script.read_table()

    assert len(surrogate.finals) == 5 * 2 * 4 * 6  # ranks, factors of alpha, targets, rates
    assert surrogate.finals[0] < surrogate.finals[-1] - 1, "there is something to find"


def test_halving_takes_less_than_half_of_the_steps(script: Any) -> None:
    surrogate = script.read_table()
    seeds = (0, 1, 2)

    plain = sum(script.replay(surrogate, seed=seed, words=[]).steps for seed in seeds)
    pruned = sum(script.replay(surrogate, seed=seed, words=["study.pruner=halving"]).steps for seed in seeds)

    assert plain == 3 * 24 * 64
    assert 2 * pruned < plain
