"""The change of a perplexity: by hand, against weighted least squares, and its coverage on simulated documents."""

import math

import numpy as np
import pytest

from tune.errors import EvaluationError
from tune.evaluate.perplexity_delta import perplexity_delta


def test_two_documents_by_hand() -> None:
    # 2 and 6 tokens, log 4 nats each before: perplexity 4. After, the first has log 2 a token, the second log 4.
    tokens = np.array([2.0, 6.0])
    base = tokens * math.log(4)
    tuned = tokens * np.log([2, 4])

    delta = perplexity_delta(base, tuned, tokens)

    # d = [-2 log 2, 0], c = -2 log 2 / 8 = -log(2) / 4; residuals -2 log 2 + log(2) / 2 and 3/2 log 2: +-1.5 log 2
    stderr = math.sqrt(2 * 2 * (1.5 * math.log(2)) ** 2) / 8
    reach = 12.7062 * stderr  # t(0.975, 1)
    assert delta.mean == pytest.approx(4 * 2**-0.25 - 4)
    assert delta.stderr == pytest.approx(4 * 2**-0.25 * stderr)
    assert delta.low == pytest.approx(4 * math.exp(-math.log(2) / 4 - reach) - 4, rel=1e-5)
    assert delta.high == pytest.approx(4 * math.exp(-math.log(2) / 4 + reach) - 4, rel=1e-5)
    assert delta.n == 2


# statsmodels 0.14 decorates with what pandas 3 will drop.
@pytest.mark.filterwarnings("ignore:(Substitution|Appender|deprecate_kwarg) is deprecated")
def test_it_equals_weighted_least_squares_with_hc1() -> None:
    import statsmodels.api as sm

    draw = np.random.default_rng(0)
    tokens = draw.integers(5, 300, 40).astype(float)
    base = tokens * draw.normal(3, 0.4, 40)
    tuned = base + tokens * draw.normal(0.05, 0.1, 40)

    delta = perplexity_delta(base, tuned, tokens, confidence=0.9)

    fit = sm.WLS((tuned - base) / tokens, np.ones(40), weights=tokens).fit(cov_type="HC1", use_t=True)
    low, high = fit.conf_int(alpha=0.1)[0]
    before = math.exp(base.sum() / tokens.sum())
    assert delta.mean == pytest.approx(before * math.expm1(fit.params[0]), rel=1e-9)
    assert (delta.low, delta.high) == pytest.approx((before * math.expm1(low), before * math.expm1(high)), rel=1e-9)


def test_pooled_perplexities_differ_by_exactly_the_mean() -> None:
    tokens, base, tuned = np.array([3.0, 9, 5]), np.array([4.0, 20, 9]), np.array([3.0, 25, 8])

    delta = perplexity_delta(base, tuned, tokens)

    assert delta.mean == pytest.approx(math.exp(36 / 17) - math.exp(33 / 17))
    assert delta.low < delta.mean < delta.high


def test_nothing_changed_is_no_change_for_sure() -> None:
    nats = np.array([3.0, 4, 5])

    delta = perplexity_delta(nats, nats, np.ones(3))

    assert (delta.mean, delta.stderr, delta.low, delta.high) == (0, 0, 0, 0)


def test_an_interval_covers_as_often_as_it_says() -> None:
    # Documents of 20 to 200 tokens; a token costs 0.05 nats more, plus what its document has in common.
    draw, n, truth = np.random.default_rng(1), 50, 0.05
    covered = 0
    for _ in range(2000):
        tokens = draw.integers(20, 201, n).astype(float)
        base = tokens * 3.0
        tuned = base + tokens * (truth + draw.normal(0, 0.1, n)) + np.sqrt(tokens) * draw.normal(0, 0.5, n)
        delta = perplexity_delta(base, tuned, tokens)
        covered += delta.low <= math.exp(3.0) * math.expm1(truth) <= delta.high
    # 0.95 with a standard error of 0.005
    assert 0.935 <= covered / 2000 <= 0.965


@pytest.mark.parametrize(
    ("base", "tuned", "tokens", "words"),
    [
        ([1.0], [1.0], [1.0], "cannot pair the perplexities of 1 base and 1 tuned documents"),
        ([1.0, 2.0], [1.0], [1.0, 1.0], "2 base and 1 tuned documents of 2: need the same two or more documents"),
        ([1.0, 2.0], [1.0, math.nan], [1.0, 1.0], "1 of 2 tuned documents have NaN or infinity"),
    ],
)
def test_what_cannot_be_paired_says_why(base: list[float], tuned: list[float], tokens: list[float], words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        perplexity_delta(np.array(base), np.array(tuned), np.array(tokens))
