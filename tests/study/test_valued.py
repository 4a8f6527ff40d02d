"""What GP and CMA-ES are shown of points without a value, and that TPE sees every bracket of hyperband."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.study.test_attempts import DONE, failed
from tests.study.test_claims import take
from tests.study.test_prune import searched, train
from tune.config.objective import Direction
from tune.config.schema import Sampler
from tune.study.attempts import end
from tune.study.claim import claim
from tune.study.signature import sign
from tune.study.space import read_space
from tune.study.valued import _valued


def shown(study: Any, *, infeasible: bool) -> list[tuple[str, float | None]]:
    every = _valued(study.get_trials(deepcopy=False), study.directions, infeasible)
    return [(trial.state.name, trial.value) for trial in every]


def scored(study: Any, config: Any, losses: list[float], value: float) -> None:
    """Complete a trial with these losses on the way."""
    claimed = take(study, config)
    for index, loss in enumerate(losses, start=1):
        study._storage.set_trial_intermediate_value(claimed.trial._trial_id, index, -loss)
    end(study, claimed.number, DONE, value=value)


def test_a_pruned_trial_is_shown_with_the_objective_of_the_nearest_loss(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "study.pruner=patience", "study.pruning.patience=0")
    scored(study, config, [3.0, 2.0, 1.0, 0.5], value=0.9)
    scored(study, config, [5.0, 4.0, 3.0, 2.5], value=0.4)
    assert train(study, config, [2.9, 3.2]) == 2  # 3.2 is nearer to 4.0 than to 2.0, though 2.9 is nearest to 3.0
    assert train(study, config, [2.0, 2.4]) == 2
    diverged = take(study, config)
    study._storage.set_trial_intermediate_value(diverged.trial._trial_id, 1, -math.inf)
    study.tell(diverged.number, state=optuna.trial.TrialState.PRUNED)
    end(study, take(study, config).number, failed("oom"))

    seen = shown(study, infeasible=True)

    assert seen[:4] == [("COMPLETE", 0.9), ("COMPLETE", 0.4), ("COMPLETE", 0.4), ("COMPLETE", 0.9)]
    assert seen[4] == ("COMPLETE", 0.4), "what diverged is as bad as the worst"
    assert seen[-1] == ("COMPLETE", 0.4), "what did not fit is as bad as the worst"
    assert shown(study, infeasible=False)[-1] == ("PRUNED", None)
    assert [trial.state.name for trial in study.get_trials(deepcopy=False)[2:4]] == ["PRUNED", "PRUNED"]


def test_the_worst_is_the_highest_where_the_study_minimizes(tmp_path: Path) -> None:
    study, config = searched(tmp_path, direction=Direction.minimize)
    for value in (0.4, 0.9):
        end(study, take(study, config).number, DONE, value=value)
    end(study, take(study, config).number, failed("oom"))

    assert shown(study, infeasible=True)[-1] == ("COMPLETE", 0.9)


def test_without_anything_to_compare_with_a_trial_stays_without_a_value(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "study.pruner=patience", "study.pruning.patience=0")
    train(study, config, [2.0, 2.4])
    end(study, take(study, config).number, DONE, value=0.5)  # which told nothing on its way

    assert [state for state, _ in shown(study, infeasible=True)] == ["PRUNED", "COMPLETE"]


@pytest.mark.parametrize("sampler", [Sampler.gp, Sampler.cmaes])
def test_a_place_that_is_only_ever_pruned_is_left(tmp_path: Path, sampler: Sampler) -> None:
    """Trials with a rate above 1e-3 are stopped or do not fit; seen as bad, they are drawn ever less."""
    study, config = searched(tmp_path, f"study.sampler={sampler}", "study.n_trials=40", direction=Direction.minimize)
    assert config.sweep is not None
    config.sweep.space["lora.dropout"] = {"low": 0.0, "high": 0.5}
    rates, space = [], read_space(config)
    for _ in range(24):
        claimed = claim(study, config, space, worker=sign())
        assert claimed is not None
        rate = float(claimed.point["train.learning_rate"])
        rates.append(rate)
        loss = 5.0 + math.log10(rate)
        study._storage.set_trial_intermediate_value(claimed.trial._trial_id, 1, loss)
        if rate > 1e-3:
            study.tell(claimed.number, state=optuna.trial.TrialState.PRUNED)
        else:
            end(study, claimed.number, DONE, value=loss)

    assert sum(rate > 1e-3 for rate in rates[12:]) <= 2


def test_tpe_sees_the_trials_of_every_bracket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, config = searched(tmp_path, "study.sampler=tpe", "study.pruner=hyperband", "study.pruning.one_in=2")
    for loss in range(1, 11):  # which it draws at random
        train(study, config, [float(loss)] * 4)
    seen = []
    split = optuna.samplers._tpe.sampler._split_trials

    def noting(of: Any, trials: Any, n_below: int) -> Any:
        seen.append([trial.number for trial in trials])
        return split(of, trials, n_below)

    monkeypatch.setattr(optuna.samplers._tpe.sampler, "_split_trials", noting)
    take(study, config)

    assert {tuple(numbers) for numbers in seen} == {tuple(range(10))}
