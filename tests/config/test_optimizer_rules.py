"""What an optimizer cannot have is refused with a reason, alone and in a search."""

import pytest

from tune.config import rules
from tune.config.compose import compose
from tune.config.method import Method
from tune.config.optimizer import Optimizer
from tune.errors import ConfigError


@pytest.mark.parametrize("optimizer", Optimizer)
def test_on_a_processor_all_but_the_paged_ones_are_allowed(optimizer: Optimizer) -> None:
    method = ["lora=full"] if optimizer is Optimizer.galore else []  # which it is for alone: see below
    config = compose([f"train.optimizer={optimizer}", "model.device=cpu", *method])

    if optimizer.is_paged:
        with pytest.raises(ConfigError, match=rf"train\.optimizer={optimizer} is not allowed with model\.device=cpu"):
            rules.check(config)
    else:
        rules.check(config)


@pytest.mark.parametrize("optimizer", Optimizer)
def test_momentum_belongs_to_sgd(optimizer: Optimizer) -> None:
    config = compose([f"train.optimizer={optimizer}", "train.momentum=0.9"])

    if optimizer is Optimizer.sgd:
        rules.check(config)
    else:
        with pytest.raises(ConfigError, match=rf"train\.momentum=0\.9 has no effect with train\.optimizer={optimizer}"):
            rules.check(config)


@pytest.mark.parametrize("method", Method)
def test_galore_is_for_whole_matrices(method: Method) -> None:
    config = compose([f"lora.method={method}", "train.optimizer=galore"])

    if method == "full":
        rules.check(config)
    else:
        with pytest.raises(ConfigError, match=rf"galore is not allowed with lora\.method={method}.*adamw"):
            rules.check(config)


def test_a_decay_that_galore_is_not_handed_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.weight_decay=0\.1 has no effect with train\.optimizer=galore"):
        rules.check(compose(["train.optimizer=galore", "train.weight_decay=0.1"]))


def test_the_rank_of_galore_belongs_to_it() -> None:
    with pytest.raises(ConfigError, match=r"train\.galore_rank=8 has no effect with train\.optimizer=adamw"):
        rules.check(compose(["train.galore_rank=8"]))


def test_a_search_over_what_has_no_effect_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a search over train\.momentum has no effect with train\.optimizer=adamw"):
        rules.check(compose(["+sweep=smoke", "+sweep.space={train.momentum:[0.0,0.9]}"]))


def test_a_search_over_both_is_for_its_conditions() -> None:
    rules.check(compose(["+sweep=smoke", "+sweep.space={train.momentum:[0.0,0.9],train.optimizer:[adamw,sgd]}"]))


@pytest.mark.parametrize("momentum", ["1", "-0.1"])
def test_a_momentum_that_never_ends_is_out_of_range(momentum: str) -> None:
    with pytest.raises(ConfigError, match=r"train\.momentum=.* from 0 up to but not 1"):
        rules.check(compose(["train.optimizer=sgd", f"train.momentum={momentum}"]))
