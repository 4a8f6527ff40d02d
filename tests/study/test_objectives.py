"""Several objectives: every sampler that can, generations that lose no trial, means of seeds, and what is refused."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.study import test_samplers
from tests.study.test_attempts import DONE, failed
from tests.study.test_claims import take
from tests.study.test_samplers import CELLS, DROPOUT, RANK, RATE, SPACE
from tune.config.compose import compose, from_yaml, to_yaml
from tune.config.rules import check
from tune.config.schema import Config, Sampler
from tune.errors import ConfigError
from tune.study.attempts import end, root, superseded
from tune.study.claim import claim
from tune.study.command import check_aims
from tune.study.repeats import over_means
from tune.study.sampler import make_sampler
from tune.study.signature import sign
from tune.study.space import parse_space, read_space
from tune.study.storage import StudyFolder, open_study, snapshot
from tune.study.worker import told_values
from tune.track.dominance import layers
from tune.trial.outcome import Outcome, State

BOTH = "sweep.objectives=[{metric:task/score},{metric:cost/seconds,direction:minimize}]"
N = 12
"""More than GP and TPE draw at random at their start (10), and the second generation of nsga2 (8)."""

GENERATION = "FreshNsga2:generation"
ABLE = sorted(set(Sampler) - {Sampler.cmaes})


def searched(runs: Path, sampler: Sampler, *words: str, n: int = N, **more: Any) -> tuple[Any, Config]:
    config = compose(["+sweep=smoke", f"study.sampler={sampler}", f"study.n_trials={n}", BOTH, *words])
    study, _ = open_study(config, runs)
    assert config.sweep is not None
    config.sweep.space = CELLS if sampler is Sampler.grid else SPACE
    for name, value in more.items():
        setattr(config.sweep, name, value)
    return study, config


def score(point: dict[str, Any]) -> list[float]:
    """Return a score that a high rate is good for, and seconds that it is bad for; dropout costs in both.

    Of points without dropout none beats another. Ten times the rate outweighs a dropout of 0.1.
    """
    rate, loss = math.log10(point.get(RATE, 1e-3)), 10 * point[DROPOUT]
    return [rate - loss, 10 + rate + loss]


def run(study: Any, config: Config, others: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    """Run to the end with both scores; return the points."""
    return test_samplers.run(study, config, others, score=score)


@pytest.mark.parametrize("sampler", ABLE)
def test_points_are_seeded_differ_and_go_on_in_another_process(tmp_path: Path, sampler: Sampler) -> None:
    study, config = searched(tmp_path / "one", sampler)
    again, _ = searched(tmp_path / "again", sampler)
    other = optuna.load_study(study_name=again.study_name, storage=f"sqlite:///{tmp_path / 'again' / 'optuna.db'}")

    points = run(study, config)

    assert len({tuple(sorted(point.items())) for point in points}) == len(points) == N
    assert run(again, config, (other,)) == points


def test_the_library_too_refuses_the_sampler_that_is_refused(tmp_path: Path) -> None:
    study, config = searched(tmp_path, Sampler.cmaes)

    with pytest.raises(ValueError, match="multi-objective optimization"):
        make_sampler(Sampler.cmaes, read_space(config), config, seed=0, nth=0).sample_relative(study, None, {})
    with pytest.raises(ConfigError, match=r"study\.sampler=cmaes is not allowed with sweep\.objectives"):
        check(config)


def test_every_trial_is_one_of_a_generation_also_a_first_point_one_that_was_retried_and_a_sure_one(
    tmp_path: Path,
) -> None:
    first = [{RATE: 1e-3, RANK: 8, DROPOUT: 0.25}]
    study, config = searched(tmp_path, Sampler.nsga2, "study.population=3", n=9, first=first)
    dead = take(study, config)
    assert dead.point == first[0]
    end(study, dead.number, failed("lost"), retries=2)  # its follower has a point and a seed, and nothing to choose
    broken = [take(study, config), take(study, config)]  # the follower, and one that fails for good
    end(study, broken[0].number, DONE, value=score(broken[0].point))
    end(study, broken[1].number, failed("diverged"))

    run(study, config)

    trials = [trial for trial in study.get_trials(deepcopy=False) if not superseded(trial)]
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert len({root(trial) for trial in trials}) == len(trials) == 9
    assert len(complete) == 8
    assert [trial.system_attrs[GENERATION] for trial in complete] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert complete[0].user_attrs["attempt"] == 2


def test_points_that_are_drawn_for_sure_because_most_are_rejected_are_of_a_generation_too(tmp_path: Path) -> None:
    reject = ["lora.rank != 977"]
    space = {RANK: {"low": 1, "high": 1000}, DROPOUT: SPACE[DROPOUT]}
    study, config = searched(tmp_path, Sampler.nsga2, "study.population=2", n=3, reject=reject, space=space)

    points = run(study, config)

    assert [point[RANK] for point in points] == [977] * 3
    complete = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    assert [trial.system_attrs[GENERATION] for trial in complete] == [0, 0, 1]


def test_a_child_is_never_one_that_was_tried_while_others_are_left(tmp_path: Path) -> None:
    # 6 cells: the first generation is drawn at random and may hit one twice; all that are bred are new.
    space = {DROPOUT: [0.0, 0.1], RANK: [2, 4, 8]}
    study, config = searched(tmp_path, Sampler.nsga2, "study.population=2", n=5, space=space)

    points = run(study, config)

    for at in range(2, 5):
        assert points[at] not in points[:at]


def test_a_space_whose_points_are_used_up_is_drawn_from_again(tmp_path: Path) -> None:
    study, config = searched(tmp_path, Sampler.nsga2, "study.population=2", n=6, space={RANK: [2, 4], DROPOUT: [0.0]})

    assert len(run(study, config)) == 6


def test_parents_are_the_best_so_far_and_children_have_something_of_them(tmp_path: Path) -> None:
    study, config = searched(tmp_path, Sampler.nsga2, "study.population=4", n=12)

    run(study, config)

    trials = study.get_trials(deepcopy=False)
    assert [trial.system_attrs[GENERATION] for trial in trials] == [0] * 4 + [1] * 4 + [2] * 4
    parents = bred_from(study, 2)
    depths = layers([(score(trial.params)[0], -score(trial.params)[1]) for trial in trials[:8]])
    assert len(parents) == 4
    others = {trial.number for trial in trials[:8]} - parents
    assert max(depths[number] for number in parents) <= min(depths[number] for number in others)
    for child in trials[8:]:
        assert any(child.params[key] == trials[number].params[key] for number in parents for key in SPACE)


def test_one_objective_may_be_bred_too(tmp_path: Path) -> None:
    config = compose(["+sweep=smoke", "study.sampler=nsga2", "study.n_trials=9", "study.population=4"])
    check(config)
    study, _ = open_study(config, tmp_path)
    assert config.sweep is not None
    config.sweep.space = SPACE
    while (claimed := claim(study, config, read_space(config), worker=sign())) is not None:
        end(study, claimed.number, DONE, value=float(claimed.point[DROPOUT]))

    best = sorted(study.get_trials(deepcopy=False)[:8], key=lambda trial: -trial.value)[:4]
    assert bred_from(study, 2) == {trial.number for trial in best}


def bred_from(study: Any, generation: int) -> set[int]:
    """Return the numbers of a generation's parents, as Optuna keeps them."""
    attrs = study._storage.get_study_system_attrs(study._study_id)
    numbers = {trial._trial_id: trial.number for trial in study.get_trials(deepcopy=False)}
    return {numbers[each] for each in attrs[f"FreshNsga2:parent:{generation}"]}


def test_the_sampler_sees_a_point_once_with_the_mean_of_each_objective(tmp_path: Path) -> None:
    study, config = searched(tmp_path, Sampler.random, n=6, seeds=[0, 1, 2], space={RANK: [2, 4], DROPOUT: [0.0]})
    values = {0: [0.0, 6.0], 1: [0.5, 7.0], 2: [1.0, 11.0]}
    while (claimed := claim(study, config, parse_space(config), worker=sign())) is not None:
        end(study, claimed.number, DONE, value=values[claimed.config.seed])
    seen: list[list[list[float]]] = []

    class Noting(optuna.samplers.RandomSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            seen.append([one.values for one in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))])
            return super().infer_relative_search_space(study, trial)

    study.sampler = over_means(Noting(seed=0), list)
    study.ask().suggest_categorical(RANK, [2, 4])

    assert all(mean == [0.5, 8.0] for mean in seen[0])


@pytest.mark.parametrize("sampler", [Sampler.tpe, Sampler.nsga2])
def test_further_seeds_go_to_the_front_and_it_has_them_all_at_the_end(tmp_path: Path, sampler: Sampler) -> None:
    study, config = searched(tmp_path, sampler, "study.population=4", n=24, seeds=[0, 1])

    run(study, config)

    trials = study.get_trials(deepcopy=False)
    seeds: dict[tuple[Any, ...], set[int]] = {}
    for trial in trials:
        seeds.setdefault(tuple(sorted(trial.params.items())), set()).add(trial.user_attrs["seed"])
    assert len(trials) == 24
    assert len(seeds) < 24, "some were repeated"
    values = {key: score(dict(key)) for key in seeds}
    front = [k for k, v in values.items() if not any(o[0] >= v[0] and o[1] <= v[1] and o != v for o in values.values())]
    assert any(len(seeds[key]) == 2 for key in front)
    worst = [key for key in seeds if key not in front]
    assert sum(len(seeds[k]) for k in worst) / len(worst) < sum(len(seeds[k]) for k in front) / len(front)


def test_the_study_is_recorded_with_all_objectives_and_its_front_is_beaten_by_nothing(tmp_path: Path) -> None:
    study, config = searched(tmp_path, Sampler.random, n=12)
    study.set_user_attr("config", to_yaml(config))
    space = read_space(config)
    while (claimed := claim(study, config, space, worker=sign())) is not None:
        values = score(claimed.point)
        metrics = dict(zip(("task/score", "cost/seconds"), values, strict=True))
        end(study, claimed.number, Outcome(state=State.complete, metrics=metrics), value=values)

    now = snapshot(study, StudyFolder(runs=tmp_path, name="smoke"))

    assert now.aim == "maximize task/score, minimize cost/seconds"
    best = {trial.number for trial in study.best_trials}
    assert {trial.number for trial in now.ranked()[: len(best)]} == best, "Optuna's own front"
    scores = [trial.metrics["task/score"] for trial in now.ranked()[: len(best)]]
    assert all(one >= other for one, other in pairwise(scores))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("metric", ["task/score", "cost/seconds"])
def test_one_value_that_is_no_number_makes_the_trial_a_failure(metric: str, value: float) -> None:
    config = compose(["+sweep=smoke", BOTH])
    good = Outcome(state=State.complete, metrics={"task/score": 0.5, "cost/seconds": 3.0, "eval/loss": math.nan})
    bad = Outcome(state=State.complete, metrics=good.metrics | {metric: value})

    assert told_values(good, config) == (good, [0.5, 3.0])
    outcome, values = told_values(bad, config)

    assert (outcome.state, outcome.reason, values) == (State.failed, "diverged", None)
    assert outcome.message == f"the objective {metric} is {value}."


def test_both_forms_are_read_and_kept() -> None:
    config = compose(["+sweep=smoke", BOTH])
    assert config.sweep is not None

    assert from_yaml(to_yaml(config)) == config
    assert [(one.metric, one.direction.value) for one in config.sweep.all_objectives] == [
        ("task/score", "maximize"),
        ("cost/seconds", "minimize"),
    ]
    alone = compose(["+sweep=smoke", "sweep.objective.metric=eval/loss"]).sweep
    assert alone is not None
    assert [one.metric for one in alone.all_objectives] == ["eval/loss"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweep.objectives=[{metric:task/score}]"], "name two or more different metrics. For a single one, set sweep"),
        (["sweep.objectives=[{metric:eval/loss},{metric:eval/loss}]"], "names eval/loss, eval/loss, which is not"),
        (
            [BOTH, "sweep.objective.metric=eval/loss"],
            "metric=eval/loss (maximize) has no effect with sweep.objectives (task/score, cost/seconds)",
        ),
        ([BOTH, "study.pruner=median", "train.evals=4"], "study.pruner=median is not allowed with sweep.objectives"),
        ([BOTH, "study.sampler=cmaes", "study.n_trials=9"], "Take study.sampler=nsga2, tpe or gp."),
        (["study.population=6"], "study.population=6 has no effect with study.sampler=grid"),
        (["study.sampler=nsga2", "study.n_trials=8"], "nothing would be bred from it. Take more trials"),
        (["study.sampler=nsga2", "study.n_trials=8", "study.population=1"], "study.population=1 is not allowed: it"),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(compose(["+sweep=smoke", *words]))

    assert said in str(refused.value)


def test_an_objective_that_no_evaluation_gives_is_named() -> None:
    with pytest.raises(ConfigError, match=r"sweep\.objectives: metric=task/scor is .* Did you mean task/score"):
        check_aims(compose(["+sweep=smoke", "sweep.objectives=[{metric:eval/loss},{metric:task/scor}]"]))


def test_nothing_is_warned_of_where_tpe_searches_for_several(tmp_path: Path) -> None:
    conditional = SPACE | {RANK: {"choices": [2, 4], "when": {"quantization.double": [False]}}}
    study, config = searched(tmp_path, Sampler.tpe, space=conditional)

    study.sampler = make_sampler(Sampler.tpe, read_space(config), config, seed=0, nth=0)

    assert len(run(study, config)) == N
