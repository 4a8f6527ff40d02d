"""What every sampler owes the study: the same seed the same points, across processes; and the sweep's own words.

The list of samplers is complete by construction: one that is added to the configuration is tested here.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.study.test_attempts import DONE, failed
from tests.study.test_claims import take
from tune.config.compose import compose
from tune.config.schema import Config, Sampler
from tune.errors import ConfigError
from tune.study.attempts import end, rejected
from tune.study.claim import claim
from tune.study.signature import sign
from tune.study.space import parse_space, read_space
from tune.study.storage import open_study

N = 14
"""More than GP and TPE draw at random at their start (10), and two generations of CMA-ES in two dimensions."""

RATE, DROPOUT, RANK, DOUBLE = "train.learning_rate", "lora.dropout", "lora.rank", "quantization.double"
SPACE: dict[str, Any] = {
    RATE: {"low": 1e-5, "high": 1e-2, "log": True},
    DROPOUT: {"low": 0.0, "high": 0.5},
    RANK: [2, 4, 8],
}
CELLS: dict[str, Any] = {RATE: [1e-4, 3e-4, 1e-3, 3e-3], DROPOUT: [0.0, 0.1], RANK: [2, 4, 8]}
EVERY = pytest.mark.parametrize("sampler", list(Sampler))


def searched(runs: Path, sampler: Sampler, *, seed: int = 0, n: int = N, **more: Any) -> tuple[Any, Config]:
    config = compose(["+sweep=smoke", f"study.sampler={sampler}", f"study.n_trials={n}", f"study.seed={seed}"])
    study, _ = open_study(config, runs)
    assert config.sweep is not None
    config.sweep.space = CELLS if sampler is Sampler.grid else SPACE
    for name, value in more.items():
        setattr(config.sweep, name, value)
    return study, config


def run(
    study: Any, config: Config, others: tuple[Any, ...] = (), score: Callable[[Any], Any] | None = None
) -> list[dict[str, Any]]:
    """Run to the end, in turn by several processes' views of the study; return the points."""
    views, points, space = (study, *others), [], read_space(config)
    while (claimed := claim(views[len(points) % len(views)], config, space, worker=sign())) is not None:
        end(study, claimed.number, DONE, value=(score or score_of)(claimed.point))
        points.append(dict(claimed.point))
    return points


def score_of(point: Mapping[str, Any]) -> float:
    return float(-abs(math.log10(point[RATE]) + 3) - point[DROPOUT])


@EVERY
def test_points_are_seeded_differ_and_go_on_in_another_process(tmp_path: Path, sampler: Sampler) -> None:
    study, config = searched(tmp_path / "one", sampler)
    again, _ = searched(tmp_path / "again", sampler)
    other = optuna.load_study(study_name=again.study_name, storage=f"sqlite:///{tmp_path / 'again' / 'optuna.db'}")

    points = run(study, config)

    assert len(points) == N
    assert len({tuple(sorted(point.items())) for point in points}) == N
    assert run(again, config, (other,)) == points


@pytest.mark.parametrize("sampler", sorted(set(Sampler) - {Sampler.grid}))
def test_another_seed_gives_other_points(tmp_path: Path, sampler: Sampler) -> None:
    one, other = (searched(tmp_path / str(seed), sampler, seed=seed) for seed in (0, 1))

    assert take(*one).point != take(*other).point
    assert take(*one).point != take(*other).point


@EVERY
def test_first_points_come_first_and_rejected_ones_never(tmp_path: Path, sampler: Sampler) -> None:
    first = [{RATE: 1e-3, RANK: 8}, {RATE: 1e-4, DROPOUT: 0.1, RANK: 2}]
    study, config = searched(tmp_path, sampler, n=5, first=first, reject=["lora.rank == 4"])

    points = run(study, config)

    assert len(points) == 5
    if sampler is Sampler.grid:
        assert all(any(point.items() >= wanted.items() for wanted in first) for point in points[:3])
    else:
        assert all(point.items() >= wanted.items() for point, wanted in zip(points, first, strict=False))
    assert all(point[RANK] != 4 for point in points)
    assert all(trial.params[RANK] == 4 for trial in study.get_trials(deepcopy=False) if rejected(trial))


@pytest.mark.parametrize("sampler", sorted(set(Sampler) - {Sampler.qmc}))
def test_a_condition_holds(tmp_path: Path, sampler: Sampler) -> None:
    rates = SPACE if sampler is not Sampler.grid else {RATE: [1e-4, 1e-3]}
    space = rates | {DROPOUT: [0.0, 0.1], RANK: {"choices": [2, 4], "when": {DROPOUT: [0.1]}}}
    study, config = searched(tmp_path, sampler, n=8, space=space)

    points = run(study, config)

    assert {point[DROPOUT] for point in points} == {0.0, 0.1}
    assert all((RANK in point) == (point[DROPOUT] == 0.1) for point in points)


FLAT: dict[str, Any] = {DROPOUT: {"low": 0.0, "high": 0.8}, RATE: SPACE[RATE]}


def test_a_sequence_spreads_points_better_than_chance(tmp_path: Path) -> None:
    # Sobol's first eight have one in each eighth of every dimension, whoever is still running.
    study, config = searched(tmp_path, Sampler.qmc, space=FLAT)

    points = [take(study, config).point for _ in range(8)]

    assert sorted(int(float(point[DROPOUT]) / 0.1) for point in points) == list(range(8))
    assert sorted(int((math.log10(float(point[RATE])) + 5) / 3 * 8) for point in points) == list(range(8))


@pytest.mark.parametrize("sampler", [Sampler.qmc, Sampler.cmaes])
def test_what_was_cut_off_draws_what_it_would_have_drawn_and_moves_nobody(tmp_path: Path, sampler: Sampler) -> None:
    plain, config = searched(tmp_path / "plain", sampler, n=9, space=FLAT)  # a generation of cmaes is six
    troubled, _ = searched(tmp_path / "troubled", sampler, n=9, space=FLAT)
    points = run(plain, config)

    again = []
    for place in range(8):
        if place == 2:
            lost = take(troubled, config)
            end(troubled, lost.number, failed("interrupted"), retries=9)
        claimed = take(troubled, config)
        end(troubled, claimed.number, DONE, value=score_of(claimed.point))
        again.append(dict(claimed.point))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tune.study.claim.reach", die)
        with pytest.raises(ConnectionError):
            take(troubled, config)
    (undrawn,) = [trial for trial in troubled.get_trials(deepcopy=False) if trial.state.name == "RUNNING"]
    end(troubled, undrawn.number, failed("interrupted"), retries=9)
    again.append(dict(take(troubled, config).point))

    assert again == points


def die(_place: str) -> None:
    raise ConnectionError


def test_queued_points_and_further_seeds_leave_the_sequence_as_it_is(tmp_path: Path) -> None:
    plain, config = searched(tmp_path / "plain", Sampler.qmc, space=FLAT)
    points = run(plain, config)

    firsts, own = searched(tmp_path / "firsts", Sampler.qmc, space=FLAT, first=[{RATE: 1e-3}, {RATE: 1e-4}])
    assert run(firsts, own)[2:] == points[: N - 2]

    seeded, own = searched(tmp_path / "seeded", Sampler.qmc, n=6, space=FLAT, seeds=[0, 1])
    assert run(seeded, own) == points[:3] * 2
    own.study.n_trials = 12
    assert run(seeded, own) == points[3:6] * 2


def test_the_state_of_cmaes_is_no_pickle(tmp_path: Path) -> None:
    study, config = searched(tmp_path, Sampler.cmaes, space={RATE: SPACE[RATE], DROPOUT: SPACE[DROPOUT]})
    run(study, config)

    kept = [
        value
        for trial in study.get_trials(deepcopy=False)
        for name, value in trial.system_attrs.items()
        if name.startswith("cma:optimizer:") and name.endswith(":0")
    ]
    assert len(kept) == 2, "after every six, which is a generation in two dimensions"
    assert all(value.startswith('{"_n_dim": 2') for value in kept)


def test_what_a_sampler_cannot_draw_from_is_refused_with_a_way_out(tmp_path: Path) -> None:
    _, config = searched(tmp_path, Sampler.cmaes, space={RANK: [2, 4], DROPOUT: [0.0, 0.1]})
    with pytest.raises(ConfigError, match=r"sweep.space has none \(lora\.rank, lora\.dropout\)\. Give a key {low"):
        parse_space(config)

    conditional = SPACE | {RANK: {"choices": [2], "when": {DOUBLE: [True]}}}
    _, config = searched(tmp_path / "qmc", Sampler.qmc, space=conditional)
    with pytest.raises(ConfigError, match=r"lora\.rank has a `when`\. Leave the condition out, or take study"):
        parse_space(config)
