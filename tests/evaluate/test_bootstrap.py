"""The paired bootstrap, against scipy's and itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tune.evaluate import bootstrap
from tune.evaluate.bootstrap import paired_bootstrap


def skewed(seed: int, n: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).exponential(size=n) - 0.8


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_is_scipys_but_for_the_draw_and_the_expansion(seed: int) -> None:
    change = skewed(seed)
    expanded = stats.norm.cdf(np.sqrt(50 / 49) * stats.t.ppf(0.975, 49))
    drawn = stats.bootstrap(
        (change,),
        np.mean,
        n_resamples=40_000,
        method="BCa",
        confidence_level=2 * expanded - 1,
        rng=np.random.default_rng(0),
    )

    found = paired_bootstrap(change, confidence=0.95)

    low, high = drawn.confidence_interval
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.04 * (high - low))


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_order_does_not_matter_and_swapping_the_models_mirrors(seed: int) -> None:
    change = skewed(seed, n=20)

    found, shuffled, swapped = (
        paired_bootstrap(values, confidence=0.9)
        for values in (change, np.random.default_rng(seed).permutation(change), -change)
    )

    assert (shuffled.low, shuffled.high, shuffled.p) == pytest.approx((found.low, found.high, found.p))
    assert (swapped.low, swapped.high, swapped.p) == pytest.approx((-found.high, -found.low, found.p))


@pytest.mark.parametrize("seed", range(6))
def test_at_the_level_of_p_an_end_lies_on_no_change(seed: int) -> None:
    change = skewed(seed)
    p = paired_bootstrap(change, confidence=0.95).p

    touching = paired_bootstrap(change, confidence=1 - p)

    width = touching.high - touching.low
    assert min(abs(touching.low), abs(touching.high)) < 0.01 * width


def test_a_change_beyond_every_resample_has_the_smallest_p_that_so_many_can_show() -> None:
    found = paired_bootstrap(skewed(0) + 100, confidence=0.95)

    assert 0 < found.p < 2e-3


def test_drawing_in_parts_gives_an_interval_of_the_same_width(monkeypatch: pytest.MonkeyPatch) -> None:
    change = skewed(3)
    whole = paired_bootstrap(change, confidence=0.95)
    monkeypatch.setattr(bootstrap, "AT_ONCE", 50 * 700)

    parts = paired_bootstrap(change, confidence=0.95)

    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.05 * (whole.high - whole.low))


def test_asked_beyond_every_resample_the_end_is_the_last_one() -> None:
    # 3 changes of which one is 1: the resample with the largest mean has it three times
    found = paired_bootstrap(np.array([0.0, 0.0, 1.0]), confidence=0.9999)

    assert found.high == pytest.approx(1.0)
