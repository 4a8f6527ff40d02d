"""How many steps a training takes, by hand, and what it leaves on the base."""

import pytest

from tests.train.toy import TRAIN, network, train
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


def test_the_base_keeps_its_own_special_tokens() -> None:
    model = network()
    base = model.get_base_model()
    base.config.eos_token_id, base.config.pad_token_id = 7, 5  # the tokenizer ends with 1 and pads with 0
    base.generation_config.eos_token_id, base.generation_config.pad_token_id = [7, 9], 5

    train(TRAIN, start=lambda: model)

    assert (base.config.eos_token_id, base.config.pad_token_id) == (7, 5)
    assert (base.generation_config.eos_token_id, base.generation_config.pad_token_id) == ([7, 9], 5)
