"""Right or wrong before, right or wrong after: a change in the share of right answers."""

import math
from functools import lru_cache

from scipy.special import bdtr, ndtri

from tune.evaluate.paired import Delta

STEPS = 36  # halvings of an interval of length 2 at most: to ten decimals


def binary_delta(gained: int, lost: int, n: int, *, confidence: float = 0.95) -> Delta:
    """Return the change of a share with its score interval and the exact test.

    Where no answer changed the interval still has a width, what n such answers leave possible.

    Args:
        gained: Answers that were wrong and are right.
        lost: Answers that were right and are wrong.
        n: All answers, at least two.
        confidence: Probability that the interval is meant to cover, between 0 and 1.
    """
    assert 0 < confidence < 1, confidence
    mean = (gained - lost) / n
    low, high = score_interval(gained, lost, n, reach=float(ndtri((1 + confidence) / 2)))
    return Delta(
        mean=mean,
        stderr=math.sqrt(max(0.0, (gained + lost) / n - mean * mean) / (n - 1)),
        low=low,
        high=high,
        n=n,
        p=mcnemar_p(gained, lost),
        confidence=confidence,
        note=no_change_note(n) if gained + lost == 0 else "",
    )


def no_change_note(n: int) -> str:
    """Return what can be said where every answer is as right or wrong as before."""
    return f"none of {n} answers changed between right and wrong; the interval is what that leaves possible"


def mcnemar_p(gained: int, lost: int) -> float:
    """Return the two-sided p of the exact test: were there no change, gains and losses are a fair coin's.

    Source: McNemar 1947, https://doi.org/10.1007/BF02295996, with the binomial distribution in full.
    """
    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0


@lru_cache(maxsize=4096)  # trials of a study differ in few answers, so the same counts come again
def score_interval(gained: float, lost: float, n: float, *, reach: float) -> tuple[float, float]:
    """Return the changes of the share that the score test does not reject.

    Args:
        gained: Answers that became right; a fraction where clusters make each count for less.
        lost: Answers that became wrong.
        n: All answers.
        reach: How many standard errors are allowed, 1.96 for 95 %.

    Source: Tango 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """
    return -_upper(lost, gained, n, reach), _upper(gained, lost, n, reach)


def _upper(gained: float, lost: float, n: float, reach: float) -> float:
    inside, outside = (gained - lost) / n, 1.0
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        if (gained - lost - n * middle) ** 2 <= reach**2 * n * _variance(middle, gained, lost, n):
            inside = middle
        else:
            outside = middle
    return (inside + outside) / 2


def _variance(change: float, gained: float, lost: float, n: float) -> float:
    """Return the variance of one answer's change, its mean held at `change` and the rest as likely as can be."""
    b = (2 * n - gained + lost) * change - gained - lost
    c = -lost * change * (1 - change)
    losing = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)  # the probability that an answer is lost
    return 2 * losing + change * (1 - change)
