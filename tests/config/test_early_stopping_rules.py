"""An early end that could never come is refused with a reason and a way out."""

import pytest

from tune.config import rules
from tune.config.compose import compose
from tune.errors import ConfigError

PATIENCE = "train.early_stopping.patience"


@pytest.mark.parametrize(
    "words",
    [
        [],
        [f"{PATIENCE}=3", "train.evals=4"],
        [f"{PATIENCE}=3", "train.evals=8", "train.early_stopping.least_gain=0.01"],
        [f"{PATIENCE}=3", "train.evals=8", "train.max_steps=5"],
        [f"{PATIENCE}=3", "train.evals=8", "study.pruner=median"],
        [f"{PATIENCE}=3", "train.evals=8", "study.pruner=patience", "study.pruning.patience=3"],
        [f"{PATIENCE}=3", "train.evals=8", "study.pruner=patience", "study.pruning.patience=1",
         "train.early_stopping.least_gain=0.1"],  # it asks for more, so it may come first
        ["+sweep=smoke", f"+sweep.space={{{PATIENCE}:[null,2],train.evals:[0,8]}}"],
        ["+sweep=smoke", f"{PATIENCE}=3", "+sweep.space={train.evals:[4,8]}"],
    ],
)  # fmt: skip
def test_what_can_end_a_training_is_allowed(words: list[str]) -> None:
    rules.check(compose(words))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            [f"{PATIENCE}=3"],
            (
                "train.early_stopping.patience=3 is not allowed with train.evals=0: nothing is measured on the way, so "
                "nothing can end the training. Add train.evals=8, or leave the patience out."
            ),
        ),
        (
            [f"{PATIENCE}=4", "train.evals=4"],
            (
                "train.early_stopping.patience=4 is not allowed with train.evals=4: a first measurement and 4 that "
                "are not lower make 5, so no training would end early. Take train.evals=5 or more, or less patience."
            ),
        ),
        (
            [f"{PATIENCE}=3", "train.evals=8", "train.max_steps=4"],
            (
                "train.early_stopping.patience=3 is not allowed with train.max_steps=4: such a training has 3 "
                "measurement(s) before its end, and 4 are needed to end it early. Take train.max_steps=5 or more"
            ),
        ),
        (
            [f"{PATIENCE}=2", "train.evals=8", "study.pruner=patience", "study.pruning.patience=1"],
            (
                "train.early_stopping.patience=2 is not allowed with study.pruner=patience and "
                "study.pruning.patience=1: the pruner would end every such trial first, without a result. Take "
                "study.pruner=none or one that compares trials, such as median."
            ),
        ),
        (
            ["train.early_stopping.least_gain=0.1", "train.evals=8"],
            "train.early_stopping.least_gain has no effect without train.early_stopping.patience",
        ),
        (
            ["+sweep=smoke", "+sweep.space={train.early_stopping.least_gain:[0.0,0.1]}"],
            "train.early_stopping.least_gain has no effect without train.early_stopping.patience",
        ),
        ([f"{PATIENCE}=0", "train.evals=8"], "train.early_stopping.patience=0 is not allowed: it must be 1 or more."),
        (
            [f"{PATIENCE}=1", "train.evals=8", "train.early_stopping.least_gain=-1"],
            "train.early_stopping.least_gain=-1.0 is not allowed: it must be 0 or more.",
        ),
    ],
)
def test_what_cannot_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        rules.check(compose(words))

    assert sentence in str(error.value)
