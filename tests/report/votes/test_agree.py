"""Agreement between raters: by hand, and as statsmodels has it."""

import numpy as np
import pytest
from statsmodels.stats import inter_rater

from tune.report.votes.agree import cohen_kappa, fleiss_kappa

WORDS = ("win", "loss", "tie", "both bad")


def test_two_raters_by_hand() -> None:
    # 3 of 4 alike; expected 1/2 * 1/4 + 1/2 * 3/4 = 1/2; (3/4 - 1/2) / (1 - 1/2)
    assert cohen_kappa(["win", "win", "loss", "loss"], ["win", "loss", "loss", "loss"]) == pytest.approx(0.5)


def test_three_raters_by_hand() -> None:
    # All three alike on one item, two of three on the other: (1 + 1/3) / 2 = 2/3; shares 5/6 and 1/6, squared 26/36
    assert fleiss_kappa([["win", "win", "win"], ["win", "win", "tie"]]) == pytest.approx((2 / 3 - 26 / 36) / (10 / 36))


def test_who_always_say_the_same_one_thing_have_no_agreement_beyond_chance() -> None:
    assert cohen_kappa(["win", "win"], ["win", "win"]) is None
    assert fleiss_kappa([["tie"] * 3] * 4) is None


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_statsmodels_gives(seed: int) -> None:
    drawn = np.random.default_rng(seed).integers(0, 4, size=(40, 4))
    drawn[:20, 1] = drawn[:20, 0]  # so that two of them agree more than chance
    said = [[WORDS[word] for word in item] for item in drawn]

    crossed = np.zeros((4, 4))
    np.add.at(crossed, (drawn[:, 0], drawn[:, 1]), 1)
    first, second, *_ = zip(*said, strict=True)
    assert cohen_kappa(first, second) == pytest.approx(inter_rater.cohens_kappa(crossed, return_results=False))
    counts, _ = inter_rater.aggregate_raters(drawn, n_cat=4)
    assert fleiss_kappa(said) == pytest.approx(inter_rater.fleiss_kappa(counts))
