"""Changes of shares: against statsmodels, published examples, likelihoods maximised by scipy, and hand-worked ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar

from tune.evaluate.binary import binary_delta, mcnemar_p, score_interval

Z = stats.norm.ppf(0.975)


def test_the_exact_test_is_the_one_of_statsmodels() -> None:
    for gained in range(25):
        for lost in range(25):
            table = [[7, gained], [lost, 3]]
            assert mcnemar_p(gained, lost) == pytest.approx(mcnemar(table, exact=True).pvalue), (gained, lost)


def test_a_published_example() -> None:
    # 161 patients, 6 and 16 of them discordant (Cavo et al. 2012): Fagerland, Lydersen and Laake, Statistical Analysis
    # of Contingency Tables, chapter 8: score interval -0.1240 to -0.0054, exact test P = 0.052479
    delta = binary_delta(6, 16, 161)

    assert delta.mean == pytest.approx(-0.0621, abs=5e-5)
    assert (delta.low, delta.high) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    assert delta.p == pytest.approx(0.052479, abs=5e-7)
    assert delta.direction == 0  # the interval leaves out zero, the exact test does not agree


def test_no_answer_changed_still_leaves_z2_over_n_plus_z2() -> None:
    # the score test of change d with none seen: n d^2 / (d (1 - d)) = z^2, so d = z^2 / (n + z^2)
    delta = binary_delta(0, 0, 50)

    assert (delta.mean, delta.stderr, delta.p) == (0.0, 0.0, 1.0)
    assert (delta.low, delta.high) == pytest.approx((-(Z**2) / (50 + Z**2), Z**2 / (50 + Z**2)))
    assert "none of 50 answers changed between right and wrong" in delta.note


def test_one_answer_gained_in_four_by_hand() -> None:
    # Upper end d > 1/7: nobody loses, (1 - 4 d)^2 = z^2 4 d (1 - d), so (16 + 4 z^2) d^2 - (8 + 4 z^2) d + 1 = 0.
    # Lower end: losing is (1 - 7 d) / 8, the variance (1 - 4 d) (1 + d) / 4, so 1 - 4 d = z^2 (1 + d).
    low, high = score_interval(1, 0, 4, reach=Z)

    assert low == pytest.approx((1 - Z**2) / (4 + Z**2))
    assert high == pytest.approx(max(np.roots([16 + 4 * Z**2, -(8 + 4 * Z**2), 1])))


@pytest.mark.parametrize(("gained", "lost", "n"), [(12, 2, 50), (3, 9, 40), (1, 0, 10), (30, 28, 60)])
def test_the_ends_are_where_the_likelihood_puts_them(gained: int, lost: int, n: int) -> None:
    # At an end the difference is 1.96 of the standard errors that the most likely table with that difference has.
    for end, side in zip(score_interval(gained, lost, n, reach=Z), (1, -1), strict=True):
        losing = most_likely_losing(end, gained, lost, n)
        stderr = np.sqrt(n * (2 * losing + end - end**2))
        assert (gained - lost - n * end) / stderr == pytest.approx(side * Z, abs=1e-3)


def most_likely_losing(change: float, gained: int, lost: int, n: int) -> float:
    def unlikely(losing: float) -> float:
        shares = np.array([losing + change, losing, 1 - 2 * losing - change])
        return -float(stats.multinomial.logpmf([gained, lost, n - gained - lost], n, shares / shares.sum()))

    bounds = (max(0.0, -change) + 1e-12, (1 - change) / 2 - 1e-12)
    return float(optimize.minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_swapping_the_models_mirrors_everything(gained: int, lost: int, same: int) -> None:
    n = max(2, gained + lost + same)
    there, back = binary_delta(gained, lost, n), binary_delta(lost, gained, n)

    assert (there.low, there.high) == (-back.high, -back.low)
    assert (there.p, there.stderr, there.direction) == (back.p, back.stderr, -back.direction)
    assert -1 <= there.low <= there.mean <= there.high <= 1
    assert there.low < there.high


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
def test_more_confidence_is_wider_and_more_answers_narrower(gained: int, lost: int, same: int) -> None:
    n = gained + lost + same + 1
    one, sure, more = (
        binary_delta(gained, lost, n),
        binary_delta(gained, lost, n, confidence=0.99),
        binary_delta(4 * gained, 4 * lost, 4 * n),
    )

    assert sure.low <= one.low <= more.low
    assert more.high <= one.high <= sure.high


@pytest.mark.parametrize("changing", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("shift", [0.0, 0.05])
def test_it_covers_the_truth_in_95_of_100_cases_summed_over_all_tables(changing: float, shift: float) -> None:
    n = 50
    shares = [(changing + shift) / 2, (changing - shift) / 2, 1 - changing]
    gained, lost = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)]).T
    chance = stats.multinomial.pmf(np.stack([gained, lost, n - gained - lost], axis=1), n, shares)  # (tables,)
    likely = chance > 1e-9
    deltas = [binary_delta(b, c, n) for b, c in zip(gained[likely].tolist(), lost[likely].tolist(), strict=True)]

    covered = sum(p for p, d in zip(chance[likely], deltas, strict=True) if d.low <= shift <= d.high)

    assert 0.94 <= covered <= 0.98


@pytest.mark.parametrize("n", [8, 20, 60])
@pytest.mark.parametrize("changing", [0.1, 0.3, 0.8])
def test_no_change_is_told_to_be_up_in_at_most_25_of_1000_cases(n: int, changing: float) -> None:
    gained, lost = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)]).T
    chance = stats.multinomial.pmf(
        np.stack([gained, lost, n - gained - lost], axis=1), n, [changing / 2, changing / 2, 1 - changing]
    )

    up = [binary_delta(b, c, n).direction > 0 for b, c in zip(gained.tolist(), lost.tolist(), strict=True)]

    assert chance[np.array(up)].sum() <= 0.025
