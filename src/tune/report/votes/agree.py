"""How far raters agree beyond what chance would give: 1 is always, 0 is chance."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Return Cohen's kappa, (observed - expected) / (1 - expected); None where both always say the same one thing.

    Args:
        first: (N,) what one rater said of each item; N at least 1.
        second: (N,) what the other said of it.

    Source: Cohen 1960, https://doi.org/10.1177/001316446002000104.
    """
    n = len(first)
    observed = sum(one == other for one, other in zip(first, second, strict=True)) / n
    ours, theirs = Counter(first), Counter(second)
    expected = sum(ours[word] * theirs[word] for word in ours) / n**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def fleiss_kappa(items: Sequence[Sequence[str]]) -> float | None:
    """Return Fleiss' kappa of two or more raters; None where all always say the same one thing.

    Args:
        items: (N, R) what each rater said of each item; N at least 1, R at least 2.

    Source: Fleiss 1971, https://doi.org/10.1037/h0031619.
    """
    n, raters = len(items), len(items[0])
    pairs = raters * (raters - 1)
    observed = sum(sum(k * (k - 1) for k in Counter(said).values()) / pairs for said in items) / n
    shares = [k / (n * raters) for k in Counter(chain.from_iterable(items)).values()]
    expected = sum(share**2 for share in shares)
    return None if len(shares) == 1 else (observed - expected) / (1 - expected)
