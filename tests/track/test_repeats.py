"""Means over seeds, and what of a difference is the seed's alone, worked by hand."""

import pytest

from tests.report.test_table import STUDY, trial
from tune.track.repeats import ranked_points, seed_noise


def seeded(*results: tuple[int, int, float]):
    import dataclasses

    trials = tuple(trial(n, rank=rank, score=score, seed=seed) for n, (rank, seed, score) in enumerate(results))
    return dataclasses.replace(STUDY, trials=trials, seeds=(0, 1))


def test_a_point_is_ranked_by_the_mean_of_its_seeds() -> None:
    points = ranked_points(seeded((4, 0, 0.9), (8, 0, 0.6), (4, 1, 0.1), (8, 1, 0.5)))

    assert [point.parameters["lora.rank"] for point in points] == [8, 4]
    assert [point.mean("task/score") for point in points] == pytest.approx([0.55, 0.5])
    assert points[0].seeds == (0, 1)


def test_a_point_with_one_lucky_seed_comes_after_those_with_all() -> None:
    points = ranked_points(seeded((4, 0, 0.9), (8, 0, 0.6), (8, 1, 0.5)))

    assert [point.parameters["lora.rank"] for point in points] == [8, 4]
    assert points[1].spread("task/score") is None


def test_the_noise_of_the_seed_by_hand() -> None:
    # Two points, two seeds each: deviations ±0.1 and ±0.2, sums of squares 0.02 and 0.08, 2 degrees of freedom:
    # s = sqrt(0.1 / 2) = 0.2236; t(0.95, 2) = 2.919986; 2.919986 * 0.2236 * sqrt(2 / 2) = 0.65293
    study = seeded((4, 0, 0.4), (4, 1, 0.6), (8, 0, 0.3), (8, 1, 0.7))

    noise = seed_noise(ranked_points(study), "task/score", confidence=0.9)

    assert noise is not None
    assert (noise.n_points, noise.freedom) == (2, 2)
    assert noise.deviation == pytest.approx(0.223607, abs=1e-6)
    assert noise.least_difference(2, 2) == pytest.approx(0.65293, abs=1e-5)
    # With one seed more on either side: sqrt(1 / 1 + 1 / 4) = 1.118
    assert noise.least_difference(1, 4) == pytest.approx(0.65293 * 1.118034, abs=1e-5)


def test_one_seed_each_says_nothing_of_noise() -> None:
    assert seed_noise(ranked_points(seeded((4, 0, 0.4), (8, 0, 0.3))), "task/score", confidence=0.9) is None
