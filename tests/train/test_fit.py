"""How many steps a training takes, by hand."""

import pytest

from tune.config.recipe import TrainConfig
from tune.train.fit import n_steps


@pytest.mark.parametrize(
    ("n_examples", "settings", "steps"),
    [
        (160, {"batch_size": 4}, 40),
        (161, {"batch_size": 4}, 41),
        (160, {"batch_size": 4, "accumulation": 3}, 14),
        (160, {"batch_size": 4, "epochs": 1.5}, 60),
        (3, {"batch_size": 8, "epochs": 0.1}, 1),
        (160, {"batch_size": 4, "max_steps": 7}, 7),
    ],
)
def test_steps_by_hand(n_examples: int, settings: dict, steps: int) -> None:
    assert n_steps(TrainConfig(**settings), n_examples) == steps
