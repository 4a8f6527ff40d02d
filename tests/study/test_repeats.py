"""Every point with every seed, or further seeds for contenders alone; and what a sampler sees of them."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.study.test_attempts import DONE, failed
from tests.study.test_claims import take
from tune.config.compose import compose
from tune.config.rules import check
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.study.attempts import end
from tune.study.claim import claim, enqueue_grid
from tune.study.repeats import over_means
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.study.storage import open_study


def seeded(runs: Path, *words: str, space: dict[str, Any] | None = None) -> tuple[Any, Config]:
    config = compose(["+sweep=smoke", "sweep.seeds=[0, 1, 2]", *words])
    assert config.sweep is not None
    config.sweep.space = space or {"lora.rank": {"low": 1, "high": 10**6}}
    return open_study(config, runs)[0], config


def run(study: Any, config: Config, score: Any) -> list[tuple[int, int]]:
    """Run a study to its end; return (rank, seed) of each trial in the order in which they were claimed."""
    order = []
    while (claimed := claim(study, config, parse_space(config), worker=sign())) is not None:
        rank, seed = claimed.config.lora.rank, claimed.config.seed
        order.append((rank, seed))
        end(study, claimed.number, DONE, value=score(rank, seed))
    return order


def test_a_grid_runs_all_cells_with_the_first_seed_before_it_repeats_any(tmp_path: Path) -> None:
    study, config = seeded(tmp_path, space={"lora.rank": [2, 4]})
    enqueue_grid(study, config)
    enqueue_grid(study, config)

    assert run(study, config, lambda rank, seed: rank + seed) == [(2, 0), (4, 0), (2, 1), (4, 1), (2, 2), (4, 2)]


def test_a_sampler_that_does_not_learn_repeats_all_its_points(tmp_path: Path) -> None:
    study, config = seeded(tmp_path, "study.sampler=random", "study.n_trials=12", "study.seed=3")

    order = run(study, config, lambda rank, seed: rank + seed)

    points = [rank for rank, seed in order if seed == 0]
    assert [seed for _, seed in order] == [0] * 4 + [1] * 4 + [2] * 4
    assert [rank for rank, _ in order] == points * 3


def test_a_space_with_fewer_points_than_draws_is_repeated_too(tmp_path: Path) -> None:
    study, config = seeded(tmp_path, "study.sampler=random", "study.n_trials=9", space={"lora.rank": [2, 4]})

    order = run(study, config, lambda rank, seed: rank + seed)

    assert set(order) == {(rank, seed) for rank in (2, 4) for seed in (0, 1, 2)}


def test_a_sampler_that_learns_gives_further_seeds_to_contenders_alone(tmp_path: Path) -> None:
    study, config = seeded(tmp_path, "study.sampler=tpe", "study.n_trials=30")

    order = run(study, config, lambda rank, _: float(rank))

    n_seeds = {rank: len({seed for other, seed in order if other == rank}) for rank, _ in order}
    assert len(order) == 30
    assert n_seeds[max(n_seeds)] == 3, "the best point has all its seeds"
    # A point is promoted by what is known at that time, so some of those with two seeds fall behind later.
    assert len(n_seeds) // 3 <= sum(n >= 2 for n in n_seeds.values()) < len(n_seeds) / 2
    assert n_seeds[min(n_seeds)] == 1


def test_a_lucky_first_seed_does_not_win(tmp_path: Path) -> None:
    # The first point that is drawn beats all others with the first seed, and loses to all with the others.
    study, config = seeded(tmp_path, "study.sampler=tpe", "study.n_trials=30")
    lucky: list[int] = []

    def score(rank: int, seed: int) -> float:
        if not lucky:
            lucky.append(rank)
        return (2e6 if seed == 0 else -2e6) if rank == lucky[0] else float(rank)

    order = run(study, config, score)

    assert {seed for rank, seed in order if rank == lucky[0]} >= {0, 1}, "it was put to the test"
    values: dict[int, dict[int, float]] = {}
    for rank, seed in order:
        values.setdefault(rank, {})[seed] = score(rank, seed)
    whole = {rank: sum(seeds.values()) / 3 for rank, seeds in values.items() if len(seeds) == 3}
    assert max(whole, key=lambda rank: whole[rank]) != lucky[0]


def test_the_sampler_sees_a_point_once_with_the_mean_of_its_seeds(tmp_path: Path) -> None:
    study, config = seeded(tmp_path, space={"lora.rank": [2, 4]})
    enqueue_grid(study, config)
    run(study, config, lambda rank, seed: rank + {0: 0.0, 1: 3.0, 2: 6.0}[seed])
    seen: list[list[tuple[int, float]]] = []

    class Noting(optuna.samplers.RandomSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
            seen.append([(one.params["lora.rank"], one.value) for one in complete])
            return super().infer_relative_search_space(study, trial)

    study.sampler = over_means(Noting(seed=0), list)
    study.ask().suggest_categorical("lora.rank", [2, 4])

    assert seen == [[(2, 5.0), (4, 7.0)]]  # 2 + (0 + 3 + 6) / 3


def test_a_repeat_that_died_is_tried_again_with_its_seed(tmp_path: Path) -> None:
    study, config = seeded(tmp_path, "study.sampler=random", "study.n_trials=6")
    for _ in range(2):
        end(study, take(study, config).number, DONE, value=1.0)
    dead = take(study, config)
    assert dead.config.seed == 1
    end(study, dead.number, failed("lost"), retries=2)

    again = take(study, config)

    assert (again.root, again.attempt, again.config.seed, again.point) == (dead.root, 2, 1, dead.point)
    assert again.twin is None


def test_what_did_not_fit_is_not_tried_with_other_seeds(tmp_path: Path) -> None:
    study, config = seeded(tmp_path, "study.sampler=random", "study.n_trials=6")
    first, second = take(study, config), take(study, config)
    end(study, first.number, failed("oom"))
    end(study, second.number, DONE, value=1.0)

    order = run(study, config, lambda *_: 1.0)

    fits = second.config.lora.rank
    assert order[:2] == [(fits, 1), (fits, 2)]
    assert [seed for _, seed in order[2:]] == [0, 1], "what is left goes to another point"
    assert first.config.lora.rank not in [rank for rank, _ in order]


def test_a_study_may_go_on_with_more_seeds(tmp_path: Path) -> None:
    study, config = seeded(tmp_path, space={"lora.rank": [2, 4]})
    assert config.sweep is not None
    config.sweep.seeds = []
    enqueue_grid(study, config)
    assert run(study, config, lambda rank, _: rank) == [(2, 0), (4, 0)]

    config.sweep.seeds = [0, 1]
    study, _ = open_study(config, tmp_path)
    enqueue_grid(study, config)

    assert run(study, config, lambda rank, _: rank) == [(2, 1), (4, 1)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweep.seeds=[1, 1]"], "sweep.seeds=[1, 1] is not allowed: name two or more different seeds"),
        (["sweep.seeds=[3]"], "For a single one, set seed"),
        (["sweep.seeds=[-1, 2]"], "of 0 or more"),
        (["sweep.seeds=[0, 1]", "seed=4"], "seed=4 has no effect with sweep.seeds=[0, 1]"),
        (["sweep.seeds=[0, 1]", "+sweep.space.seed=[0, 1]"], "sweep.space has seed, and sweep.seeds is set too"),
    ],
)
def test_seeds_that_make_no_sense_are_refused(words: list[str], said: str) -> None:
    config = compose(["+sweep=smoke", *words])

    with pytest.raises(ConfigError) as refused:
        check(config)

    assert said in str(refused.value)
