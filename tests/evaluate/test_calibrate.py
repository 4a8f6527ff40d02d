"""The simulated studies of scripts/calibrate, few of them: what is printed there holds here within chance."""

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "calibrate.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("calibrate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibrate"] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    return module


def allowed(share: float, studies: int) -> float:
    """Return four standard errors of a share: beyond them once in sixteen thousand."""
    return 4 * math.sqrt(share * (1 - share) / studies)


@pytest.mark.parametrize("place", range(5))
def test_answers_are_covered(script: Any, place: int) -> None:
    rate, shift, alike = script.ANSWERS[place]
    found = script.binary_deltas(200, script.answers(rate, shift, alike), 2000, np.random.default_rng(place))

    assert script.coverage(found, shift)[0] == pytest.approx(0.95, abs=allowed(0.95, 2000) + 0.01)


@pytest.mark.parametrize("kind", ["NUMBERS", "CLUSTERED"])
def test_numbers_and_clusters_are_covered(script: Any, kind: str) -> None:
    for place, cell in enumerate(getattr(script, kind)):
        covered, _, _ = script.coverage(script.deltas(cell, 150, np.random.default_rng(place)), cell.truth)

        assert covered == pytest.approx(0.95, abs=allowed(0.95, 150) + 0.01), cell.name


@pytest.mark.parametrize("place", range(5))
def test_the_shares_of_answers_have_the_rates_and_the_likeness_asked_for(script: Any, place: int) -> None:
    rate, shift, alike = script.ANSWERS[place]

    both, gained, lost, none = script.answers(rate, shift, alike)

    assert (both + lost, both + gained) == pytest.approx((rate, rate + shift))
    assert min(both, gained, lost, none) > 0
    deviations = math.sqrt(rate * (1 - rate) * (rate + shift) * (1 - rate - shift))
    assert (both - rate * (rate + shift)) / deviations == pytest.approx(alike)


def test_no_better_task_and_a_guard_on_its_floor_rarely_ship(script: Any) -> None:
    random = np.random.default_rng(0)
    alone = script.false_ships(200, (0.5, 0.15, 0.15, 0.2), None, 4000, random)
    guarded = script.false_ships(200, (0.4, 0.3, 0.0, 0.3), script.CLUSTERED[4], 400, random)

    assert 0 < alone <= 0.025 + allowed(0.025, 4000)
    assert 0 < guarded <= 0.025 + allowed(0.025, 400)


def test_the_cells_have_the_truth_that_they_claim(script: Any) -> None:
    random = np.random.default_rng(1)
    for cell in (*script.NUMBERS, *script.CLUSTERED):
        means = [float((tuned - base).mean()) for base, tuned in (cell.draw(random) for _ in range(2000))]

        assert np.mean(means) == pytest.approx(cell.truth, abs=4 * np.std(means) / math.sqrt(2000)), cell.name
