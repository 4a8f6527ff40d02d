"""Trials that are stopped by their validation loss: when, and what the storage, MLflow and the report say of them."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.study.test_attempts import DONE, failed, new_study
from tests.study.test_claims import take
from tests.study.ward import new_ward
from tune.config.compose import compose
from tune.config.objective import Direction
from tune.config.pruning import READ, Pruner
from tune.config.rules import check
from tune.config.schema import Config
from tune.errors import ConfigError, Pruned
from tune.study.attempts import end, pruned, rejected, root
from tune.study.claim import Claim, claim
from tune.study.prune import Judge
from tune.study.record import ENDS, end_tags, run_status
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.study.storage import StudyFolder, snapshot
from tune.track.recorder import RunStatus
from tune.train.evals import Eval
from tune.trial.failure import failure
from tune.trial.outcome import State

WORDS = ("study.sampler=random", "study.n_trials=20", "train.evals=4")


def searched(runs: Path, *words: str, direction: Direction = Direction.maximize) -> tuple[Any, Config]:
    study, config = new_study(
        runs, *WORDS, *words, f"sweep.objective.direction={direction}", "sweep.objective.metric=task/score"
    )
    assert config.sweep is not None
    config.sweep.space = {"train.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    return study, config


def evals(losses: list[float]) -> list[Eval]:
    return [Eval(index=place, step=10 * place, loss=loss) for place, loss in enumerate(losses, start=1)]


def train(study: Any, config: Config, losses: list[float], *, claimed: Claim | None = None) -> int | None:
    """Run a trial with these losses on the way; return the index at which it was pruned, None where it was not."""
    claimed = claimed or take(study, config)
    judge = Judge(study, claimed.trial, config)
    found = evals(losses)
    try:
        for n in range(1, len(found) + 1):
            judge(found[:n])
    except Pruned as error:
        end(study, claimed.number, failure(error))
        return n
    end(study, claimed.number, DONE, value=0.5)
    return None


@pytest.mark.parametrize("direction", list(Direction))
def test_a_loss_is_minimized_whichever_way_the_study_goes(tmp_path: Path, direction: Direction) -> None:
    study, config = searched(tmp_path, "study.pruner=median", "study.pruning.startup=3", direction=direction)
    for last in (1.0, 2.0, 3.0):
        assert train(study, config, [last + 3, last + 2, last + 1, last]) is None, "nothing is complete yet"

    # After the second measurement the others stand at 3, 4 and 5: their median is 4.
    assert train(study, config, [9.0, 4.1, 1.0, 1.0]) == 2
    assert train(study, config, [9.0, 3.9, 2.9, 1.9]) is None, "the first measurement is spared"


def test_median_compares_at_the_same_index_whatever_the_step(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "study.pruner=median", "study.pruning.startup=1", "study.pruning.spared=0")
    assert train(study, config, [4.0, 3.0, 2.0, 1.0]) is None
    claimed = take(study, config)
    judge = Judge(study, claimed.trial, config)

    judge([Eval(index=1, step=400, loss=3.9)])  # by its step it would lie far behind 1.0

    with pytest.raises(Pruned, match=r"stopped after step 800, at a validation loss of 3\.95\."):
        judge([Eval(index=1, step=400, loss=3.9), Eval(index=2, step=800, loss=3.95)])


def test_halving_lets_one_in_so_many_go_on(tmp_path: Path) -> None:
    # Rungs are at 1 and 2; of those there so far, the best half go on, and one that is alone does.
    study, config = searched(tmp_path, "study.pruner=halving", "study.pruning.one_in=2")

    assert [train(study, config, [loss] * 4) for loss in (5.0, 6.0, 4.0, 7.0)] == [None, 1, None, 1]


def test_hyperband_stops_no_more_than_halving(tmp_path: Path) -> None:
    # With 4 measurements and 2: brackets whose first rung is at 1, 2 and 4.
    study, config = searched(tmp_path, "study.pruner=hyperband", "study.pruning.one_in=2")

    ends = [train(study, config, [float(loss)] * 4) for loss in range(1, 17)]

    assert {1, None} <= set(ends) <= {1, 2, 4, None}


def test_patience_looks_at_the_trial_alone(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "study.pruner=patience", "study.pruning.patience=1")

    assert train(study, config, [3.0, 3.1, 3.2, 3.3]) == 3, "two in a row above the lowest are one more than is borne"
    assert train(study, config, [3.0, 3.1, 2.9, 3.0]) is None


def test_nothing_is_told_where_nothing_is_pruned(tmp_path: Path) -> None:
    study, config = searched(tmp_path)
    train(study, config, [1.0, math.inf, 2.0, 3.0])

    assert study.get_trials(deepcopy=False)[0].intermediate_values == {}


@pytest.mark.parametrize("pruner", list(Pruner))
def test_every_pruner_says_which_settings_it_reads_and_runs_on_the_real_storage(tmp_path: Path, pruner: Pruner) -> None:
    study, config = searched(
        tmp_path, f"study.pruner={pruner}", *(["study.pruning.patience=1"] * (pruner == "patience"))
    )
    check(config)

    assert pruner in READ
    for loss in (1.0, 2.0, 3.0):
        train(study, config, [loss, loss - 0.1, loss - 0.2, loss - 0.3])
    assert len(study.get_trials(deepcopy=False)) == 3


def test_an_attempt_that_follows_tells_again_what_was_told_before(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "study.pruner=median", "study.pruning.startup=1")
    assert train(study, config, [4.0, 3.0, 2.0, 1.0]) is None
    first = take(study, config)
    Judge(study, first.trial, config)(evals([5.0, 2.5]))
    end(study, first.number, failed("interrupted"), retries=9)
    second = take(study, config)
    assert (second.root, second.attempt) == (first.root, 2)

    # Its checkpoint knows of two measurements; the third is made anew.
    Judge(study, second.trial, config)(evals([5.0, 2.5, 1.9]))

    told = study.get_trials(deepcopy=False)[second.number].intermediate_values
    assert told == {1: -5.0, 2: -2.5, 3: -1.9}


def test_what_an_earlier_attempt_was_let_pass_is_not_judged_again(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "study.pruner=median", "study.pruning.startup=1", "study.pruning.spared=0")
    first = take(study, config)
    Judge(study, first.trial, config)(evals([5.0]))  # nothing is complete to compare it with
    end(study, first.number, failed("interrupted"), retries=9)
    waiting = [t for t in study.get_trials(deepcopy=False) if t.state.name == "WAITING"]
    again = take(study, config)
    assert (again.root, len(waiting)) == (first.root, 1)
    assert train(study, config, [4.0, 3.0, 2.0, 1.0]) is None

    Judge(study, again.trial, config)(evals([5.0, 2.9]))  # 5.0 would be pruned now; 2.9 is better than 3.0

    with pytest.raises(Pruned):
        Judge(study, again.trial, config)(evals([5.0, 2.9, 2.8]))


def cut_off(study: Any, config: Config, losses: list[float]) -> Claim:
    """Run a trial to its last loss here, lose its worker, and return the claim of the attempt that follows."""
    claimed = take(study, config)
    judge = Judge(study, claimed.trial, config)
    for n in range(1, len(losses) + 1):
        judge(evals(losses)[:n])
    end(study, claimed.number, failed("interrupted"), retries=9)
    again = take(study, config)
    assert (again.root, again.attempt) == (claimed.root, claimed.attempt + 1)
    return again


@pytest.mark.parametrize("n_cut_off", [0, 1, 3])
def test_a_trial_competes_once_however_often_it_was_cut_off(tmp_path: Path, n_cut_off: int) -> None:
    # One in three goes on. 5.0 is alone on the first rung, and so is the lowest there.
    study, config = searched(tmp_path, "study.pruner=halving", "study.pruning.one_in=3")
    claimed = take(study, config)
    for _ in range(n_cut_off):
        Judge(study, claimed.trial, config)(evals([5.0]))
        end(study, claimed.number, failed("interrupted"), retries=9)
        claimed = take(study, config)
    assert train(study, config, [5.0, 5.0, 5.0, 5.0], claimed=claimed) is None

    # 4.5 is the fifth value on the first rung, of which one goes on. Were 5.0 there twice, two of six would.
    ends = [train(study, config, [loss] * 4) for loss in (6.0, 4.0, 7.0, 4.5, 4.6)]

    assert ends == [1, None, 1, 1, 1]
    assert train(study, config, [4.1] * 4) == 3, "of seven it is second, and of the two on the next rung not the lower"


def test_each_measurement_is_noted_at_its_own_rung_by_an_attempt_that_follows(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "study.pruner=halving", "study.pruning.one_in=2")
    again = cut_off(study, config, [5.0, 4.0])

    Judge(study, again.trial, config)(evals([5.0, 4.0, 3.0]))
    Judge(study, again.trial, config)(evals([5.0, 4.0, 3.0, 2.0]))

    noted = study.get_trials(deepcopy=False)[again.number].system_attrs
    rungs = {name: value for name, value in noted.items() if name.startswith("completed_rung")}
    assert rungs == {"completed_rung_0": -5.0, "completed_rung_1": -4.0, "completed_rung_2": -2.0}


def test_a_trial_stays_in_its_bracket_when_it_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    bracket = optuna.pruners.HyperbandPruner._get_bracket_id

    def noting(self: Any, study: Any, trial: Any) -> int:
        found = int(bracket(self, study, trial))
        asked.append((trial.number, found))
        return found

    study, config = searched(tmp_path, "study.pruner=hyperband", "study.pruning.one_in=2")
    monkeypatch.setattr(optuna.pruners.HyperbandPruner, "_get_bracket_id", noting)
    for _ in range(6):
        first = take(study, config)
        Judge(study, first.trial, config)(evals([5.0]))
        end(study, first.number, failed("interrupted"), retries=9)
        assert train(study, config, [5.0, 4.0, 3.0, 2.0], claimed=take(study, config)) in {None, 1, 2, 4}

    assert {number for number, _ in asked} == {0, 2, 4, 6, 8, 10}, "the numbers of first attempts"
    assert len(set(asked)) == 6, "each with one bracket"
    assert len({found for _, found in asked}) > 1


def test_a_pruned_trial_is_done_is_not_tried_again_and_breaks_no_constraint(tmp_path: Path) -> None:
    study, config = searched(tmp_path, "study.n_trials=2", "study.pruner=halving", "study.pruning.one_in=2")
    train(study, config, [1.0] * 4)
    number = take(study, config).number

    assert end(study, number, failure(Pruned(step=30, loss=2.5)), retries=9)

    trial = study.get_trials(deepcopy=False)[number]
    assert (trial.state, trial.constraints) == (optuna.trial.TrialState.PRUNED, {})
    assert (pruned(trial), rejected(trial), run_status(trial)) == (True, False, RunStatus.killed)
    assert claim(study, config, parse_space(config), worker=sign()) is None
    now = snapshot(study, StudyFolder(runs=tmp_path, name=study.study_name))
    assert (now.done, now.counts()["pruned"], now.counts()["infeasible"]) == (2, 1, 0)
    assert [trial.number for trial in now.ranked()] == [0]
    record = now.to_json()["trials"][1]
    assert (record["state"], record["reason"], record["pruned_step"]) == ("pruned", "pruned", 30)
    assert record["metrics"] == {"eval/step_loss": 2.5}


def test_what_does_not_fit_is_not_pruned(tmp_path: Path) -> None:
    study, config = searched(tmp_path)
    claimed = take(study, config)
    end(study, claimed.number, failed("oom"))

    trial = study.get_trials(deepcopy=False)[claimed.number]
    assert (trial.state.name, pruned(trial), run_status(trial)) == ("PRUNED", False, RunStatus.failed)


def test_a_further_seed_of_a_point_is_not_pruned(tmp_path: Path) -> None:
    # A grid with seeds and a pruner is refused; chance gives further seeds to points that were not stopped.
    words = ["study.pruner=patience", "study.pruning.patience=0", "study.sampler=random", "study.n_trials=4"]
    study, config = new_study(tmp_path, "train.evals=4", *words, "sweep.seeds=[0, 1]")
    better, worse = [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]
    claims, ends = [], []

    for _ in range(4):
        claims.append(take(study, config))
        curve = better if claims[-1].config.seed == 0 else worse
        ends.append(train(study, config, curve, claimed=claims[-1]))

    assert [one.config.seed for one in claims] == [0, 0, 1, 1]
    assert ends == [None] * 4


def test_mlflow_says_killed_why_and_at_which_step_and_doctor_agrees(tmp_path: Path) -> None:
    ward = new_ward(tmp_path, "stopped")
    claimed, recorder = ward.start()
    outcome = failure(Pruned(step=12, loss=1.5))
    end(ward.case.study, claimed.number, outcome)
    recorder.tags(end_tags(outcome.reason, outcome.message, outcome.pruned_step))
    recorder.finish(ENDS[outcome.reason])
    recorder.close(5)

    run = ward.run(root(ward.trials[claimed.number]))
    assert run.status is RunStatus.killed
    assert (run.tags["tune.reason"], run.tags["tune.pruned_step"]) == ("pruned", "12")
    from tune.study.doctor.runs import wrong_statuses

    assert wrong_statuses(ward.case) == []


def test_a_pruned_outcome_has_the_step_and_the_last_loss() -> None:
    outcome = failure(Pruned(step=12, loss=1.5))

    assert (outcome.state, outcome.reason, outcome.pruned_step) == (State.pruned, "pruned", 12)
    assert outcome.metrics == {"eval/step_loss": 1.5}
    assert outcome.message == "it was stopped after step 12, at a validation loss of 1.5."


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["study.pruner=halving"],
            (
                "train.evals=0 is not allowed with study.pruner=halving, which stops trials by the validation loss on "
                "the way: it must be 1 or more, or the pruner stops none. Add train.evals=4, or take study.pruner=none."
            ),
        ),
        (["study.pruner=median", "train.evals=1"], "it must be 2 or more"),
        (
            ["study.pruner=patience", "train.evals=4"],
            "it must be 5 or more, or the pruner stops none. Add train.evals=5",
        ),
        (
            ["study.pruner=median", "train.evals=4", "study.pruning.one_in=2"],
            (
                "study.pruning.one_in=2 has no effect with study.pruner=median: take study.pruner=halving or "
                "hyperband, or leave it out."
            ),
        ),
        (["study.pruning.startup=2"], "study.pruning.startup=2 has no effect with study.pruner=none"),
        (["study.pruner=halving", "train.evals=4", "study.pruning.one_in=1"], "one_in=1 is not allowed: it must be 2"),
        (["study.pruner=hyperband", "+sweep.space.train.evals=[2, 4]"], None),
    ],
)
def test_what_cannot_work_is_refused_with_a_way_out(words: list[str], sentence: str | None) -> None:
    config = compose(["+sweep=smoke", *(word for word in words if "space" not in word)])
    if sentence is None:
        assert config.sweep is not None
        config.sweep.space = {"train.evals": [2, 4]}
        sentence = "sweep.space has train.evals, which study.pruner=hyperband compares trials by"

    with pytest.raises(ConfigError) as error:
        check(config)
    assert sentence in str(error.value)
