"""Which results no other beats: the Pareto front, and the layers below it.

One result beats another when it is at least as good in every objective and better in one. Where results are means, one
that rests on fewer measurements beats none that rests on more: the best of many single results is mostly a lucky one.
"""

from collections.abc import Sequence

Values = Sequence[float]
"""A result, objective by objective; more is better."""


def layers(results: Sequence[Values], weights: Sequence[int] | None = None) -> list[int]:
    """Return the layer of each result: 0 on the front, and one more than the deepest that beats it below.

    Args:
        results: All with the same objectives.
        weights: How many measurements each is the mean of; the same of all if not given.

    Source: non-dominated sorting, Deb et al. 2002, https://doi.org/10.1109/4235.996017, section III.A.
    """
    counts = weights or [1] * len(results)
    # Whatever beats a result is larger in this order, so its layer is known before.
    order = sorted(range(len(results)), key=lambda at: (tuple(results[at]), counts[at]), reverse=True)
    found: dict[int, int] = {}
    for at in order:
        above = (found[other] for other in found if _beats(results, counts, other, at))
        found[at] = max(above, default=-1) + 1
    return [found[at] for at in range(len(results))]


def beaten_by(results: Sequence[Values], weights: Sequence[int] | None = None) -> list[int | None]:
    """Return the place of the first result of the front that beats each; None for those of the front."""
    counts = weights or [1] * len(results)
    front = [at for at, layer in enumerate(layers(results, weights)) if layer == 0]
    return [next((other for other in front if _beats(results, counts, other, at)), None) for at in range(len(results))]


def _beats(results: Sequence[Values], weights: Sequence[int], one: int, other: int) -> bool:
    ours, theirs = results[one], results[other]
    return (
        weights[one] >= weights[other]
        and all(a >= b for a, b in zip(ours, theirs, strict=True))
        and any(a > b for a, b in zip(ours, theirs, strict=True))
    )
