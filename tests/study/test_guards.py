"""What samplers are told of trials that are beyond a guard, in real storages."""

import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.study.test_attempts import new_study
from tests.study.test_claims import take
from tune.config.compose import compose
from tune.config.guards import GuardConfig
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.study.attempts import end
from tune.study.command import check_aims
from tune.study.repeats import next_repeat
from tune.study.storage import stored_config
from tune.study.valued import _valued
from tune.study.worker import with_violations
from tune.trial.outcome import Outcome, State

PROBE = "general/probe/delta"
GUARD = "sweep.guards=[{metric:general/probe/delta,at_least:-0.125}]"


def searched(runs: Path, sampler: str, *words: str) -> tuple[Any, Config]:
    study, config = new_study(runs, f"study.sampler={sampler}", "study.n_trials=60", GUARD, *words)
    assert config.sweep is not None
    config.sweep.space = {"train.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    return study, config


def complete(study: Any, config: Config, score: float, change: float) -> float:
    """Run a trial that scores this and changes the probe by that; return its rate."""
    claimed = take(study, config)
    outcome = Outcome(state=State.complete, metrics={"task/score": score, PROBE: change})
    end(study, claimed.number, with_violations(outcome, config), value=score)
    return float(claimed.point["train.learning_rate"])


def test_how_far_a_change_is_beyond_the_floor_is_kept_as_a_constraint_of_optuna(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "random")
    complete(study, config, 0.9, -0.625)
    complete(study, config, 0.5, 0.0)

    assert [trial.constraints for trial in study.get_trials()] == [
        {f"guard:{PROBE}": 0.5},
        {f"guard:{PROBE}": -0.125},
    ]
    assert study.best_trial.number == 1, "Optuna's own best is the best that keeps the guard"
    assert stored_config(study).sweep.guards == [GuardConfig(metric=PROBE, at_least=-0.125)]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_sampler_keeps_away_from_where_the_guard_breaks_though_the_score_is_higher(
    tmp_path: Path, sampler: str
) -> None:
    # The score rises with the rate and the change falls with it: at 3e-4 it is at the floor.
    study, config = searched(tmp_path, sampler)
    rates: list[float] = []
    for _ in range(40):
        claimed = take(study, config)
        rate = float(claimed.point["train.learning_rate"])
        metrics = {"task/score": math.log10(rate), PROBE: -0.125 - 0.3 * math.log10(rate / 3e-4)}
        outcome = with_violations(Outcome(state=State.complete, metrics=metrics), config)
        end(study, claimed.number, outcome, value=metrics["task/score"])
        rates.append(rate)

    assert statistics.median(rates[20:]) < 1e-3, "by the score alone it would be at the upper end, 1e-2"
    assert max(rate for rate in rates if rate <= 3e-4) > 2e-4


def test_gp_is_shown_what_did_not_fit_with_the_constraints_that_all_others_have(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "gp")
    complete(study, config, 0.9, -0.625)
    complete(study, config, 0.5, 0.0)
    end(study, take(study, config).number, Outcome(state=State.infeasible, reason="memory", message="m"))

    shown = _valued(study.get_trials(deepcopy=False), study.directions, infeasible=True)

    assert [(trial.value, trial.constraints) for trial in shown] == [
        (0.9, {f"guard:{PROBE}": 0.5}),
        (0.5, {f"guard:{PROBE}": -0.125}),
        (0.5, {f"guard:{PROBE}": 0.5}),
    ]


def test_cmaes_which_knows_no_constraints_sees_the_worst_score_beyond_a_guard(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "cmaes")
    complete(study, config, 0.9, -0.625)
    complete(study, config, 0.5, 0.0)

    shown = _valued(study.get_trials(deepcopy=False), study.directions, infeasible=False)

    assert [trial.value for trial in shown] == [0.5, 0.5]


def test_further_seeds_go_to_points_that_keep_the_guard(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "tpe", "sweep.seeds=[0,1]")
    scores = [(0.9, -0.625), (0.8, -0.625), (0.5, 0.0)]
    rates = [complete(study, config, score, change) for score, change in scores]

    again = next_repeat(study.get_trials(deepcopy=False), config, n_wanted=60)

    assert again is not None
    assert again.parameters["train.learning_rate"] == rates[2]


def test_a_guard_that_nothing_measures_is_refused_before_anything_runs() -> None:
    config = compose(["+sweep=smoke", "sweep.guards=[{metric:mmlu/delta,at_least:-0.02}]"])

    with pytest.raises(ConfigError, match=r"sweep.guards: metric=mmlu/delta is no change with an interval"):
        check_aims(config)
