"""A parameter that asks for a multiple of the learning rate has it, from the first step to the last."""

import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from torch import nn

from tune.config.method import RATE_FACTOR
from tune.train.rates import with_own_rates


def parameter(factor: float | None = None) -> nn.Parameter:
    made = nn.Parameter(torch.ones(1))
    if factor is not None:
        setattr(made, RATE_FACTOR, factor)
    return made


def test_a_factor_makes_a_group_of_its_own_with_the_same_settings() -> None:
    plain, fast = parameter(), parameter(8.0)

    optimizer = with_own_rates(torch.optim.AdamW([plain, fast], lr=1e-3, weight_decay=0.1))

    assert [(group["lr"], group["weight_decay"], group["params"]) for group in optimizer.param_groups] == [
        (1e-3, 0.1, [plain]),
        (8e-3, 0.1, [fast]),
    ]


def test_without_factors_nothing_is_divided() -> None:
    optimizer = with_own_rates(torch.optim.AdamW([parameter(), parameter()], lr=1e-3))

    assert [len(group["params"]) for group in optimizer.param_groups] == [2]


def test_a_schedule_keeps_the_ratio() -> None:
    optimizer = with_own_rates(torch.optim.SGD([parameter(), parameter(4.0)], lr=1.0))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))

    optimizer.step()
    schedule.step()

    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 2.0]


def test_one_step_of_plain_descent_by_hand() -> None:
    plain, fast = parameter(), parameter(4.0)
    optimizer = with_own_rates(torch.optim.SGD([plain, fast], lr=0.1))

    (plain + fast).sum().backward()
    optimizer.step()

    assert plain.item() == torch.tensor(0.9).item()
    assert fast.item() == torch.tensor(0.6).item()


def test_the_rates_are_those_of_pefts_lora_plus() -> None:
    model = get_peft_model(nn.Sequential(nn.Linear(4, 4)), LoraConfig(r=2, target_modules=["0"]))
    for name, weight in model.named_parameters():
        if ".lora_B." in name:
            setattr(weight, RATE_FACTOR, 16.0)
    ours = with_own_rates(torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3))
    theirs = create_loraplus_optimizer(model, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=16.0)

    def rates(optimizer: torch.optim.Optimizer) -> dict[int, float]:
        return {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}

    assert rates(ours) == rates(theirs)
