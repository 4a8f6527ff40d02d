"""Learning rates of their own for parameters whose method asked for one."""

from itertools import groupby
from typing import Any

from tune.config.method import RATE_FACTOR


def with_own_rates(optimizer: Any) -> Any:
    """Return the optimizer, its groups divided where parameters ask for a multiple of the learning rate.

    Args:
        optimizer: A torch optimizer that has made no step; a scheduler that is built on it keeps the multiples.
    """
    for group in list(optimizer.param_groups):
        divided = {
            factor: list(members) for factor, members in groupby(sorted(group["params"], key=_factor), key=_factor)
        }
        group["params"] = divided.pop(1.0, [])
        for factor, members in divided.items():
            optimizer.add_param_group({**group, "params": members, "lr": factor * group["lr"]})
    return optimizer


def _factor(parameter: Any) -> float:
    return float(getattr(parameter, RATE_FACTOR, 1.0))
