"""How sure a mean change is when questions come in groups that move together: MMLU's subjects, a document's chunks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune.errors import EvaluationError

LEAST = 2  # one question, or one subject, says nothing about its spread


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """What groups leave of the evidence."""

    stderr: float
    """Standard error of the mean change."""

    freedom: float
    """Degrees of freedom of that standard error: G - 1 for G groups of one size, fewer where few large ones rule."""


def cluster_spread(change: NDArray[np.float64], clusters: Sequence[str]) -> Spread:
    """Return the clustered standard error of the mean change and its effective degrees of freedom.

    The variance is the sum over clusters of (sum of d - mean d)^2 / (1 - n_g / N), over N^2: each cluster's residual
    is too small by the share of the mean that is its own. With clusters of one size that share is 1 / G, and this is
    the usual factor G / (G - 1).

    Args:
        change: (N,) change of each question.
        clusters: (N,) group of each question.

    Raises:
        EvaluationError: A label is missing, or there are fewer than two clusters.

    Source: Bell and McCaffrey 2002, Survey Methodology 28(2), 169-181 (CR2 and Satterthwaite's degrees of freedom);
        Imbens and Kolesar 2016, https://doi.org/10.1162/REST_a_00552 (the same where changes of a cluster are alike).
    """
    member = _grouped(change, clusters)  # (N,)
    sizes = np.bincount(member).astype(np.float64)  # (G,)
    sums = np.bincount(member, weights=change - change.mean())  # (G,)
    own = 1 - sizes / change.size  # (G,)
    stderr = math.sqrt(float((sums * sums / own).sum())) / change.size
    return Spread(stderr=stderr, freedom=_freedom(sizes, likeness(change, member, sizes)))


def _grouped(change: NDArray[np.float64], clusters: Sequence[str]) -> NDArray[np.intp]:
    """Return the number of each question's cluster, (N,)."""
    if len(clusters) != change.size:
        msg = (
            f"cannot group {change.size} scores by {len(clusters)} cluster names: each question needs one. "
            "Take base, tuned and clusters from the same questions."
        )
        raise EvaluationError(msg)
    names, member = np.unique(np.asarray(clusters), return_inverse=True)
    if names.size < LEAST:
        msg = (
            f"cannot judge a change from one cluster ({names[0]}): need two or more subjects. "
            "Ask more subjects, or compare question by question."
        )
        raise EvaluationError(msg)
    return np.asarray(member)


def likeness(change: NDArray[np.float64], member: NDArray[np.intp], sizes: NDArray[np.float64]) -> float:
    """Return the intraclass correlation of the changes, 0 to 1, by the analysis of variance.

    Source: Donner 1986, https://doi.org/10.2307/1403259, the estimator for groups of unequal size.
    """
    n, groups = change.size, sizes.size
    if n == groups:
        return 0.0
    means = np.bincount(member, weights=change) / sizes  # (G,)
    between = float((sizes * (means - change.mean()) ** 2).sum()) / (groups - 1)
    within = float(((change - means[member]) ** 2).sum()) / (n - groups)
    typical = (n - float(sizes @ sizes) / n) / (groups - 1)  # the size of a group, were they equal
    shared = max(0.0, (between - within) / typical)
    return shared / (shared + within) if shared else 0.0


def _freedom(sizes: NDArray[np.float64], alike: float) -> float:
    """Return Satterthwaite's degrees of freedom, (trace M)^2 / trace(M M).

    M, (G, G), holds how the clusters' adjusted residual sums vary together: a_g a_h (v_g [g = h] - q_h v_g - q_g v_h
    + q_g q_h V), with q the share of the questions, v the variance of a cluster's sum, V their sum, a^2 = 1 / (1 - q).
    It is a diagonal plus two outer products, so neither trace needs the matrix.
    """
    share = sizes / sizes.sum()  # (G,) q
    varies = (1 - alike) * sizes + alike * sizes**2  # (G,) v
    adjust = 1 / np.sqrt(1 - share)  # (G,) a
    whole = float(varies.sum())  # V
    diagonal, x, y = adjust**2 * varies, adjust * varies, adjust * share
    outer = -2 * x * y + whole * y * y  # (G,) the diagonal of M less its first term
    xx, yy, xy = float(x @ x), float(y @ y), float(x @ y)
    squares = float(diagonal @ diagonal) + 2 * float(diagonal @ outer)
    squares += 2 * xx * yy + 2 * xy * xy + whole * whole * yy * yy - 4 * whole * xy * yy
    return float(diagonal.sum() + outer.sum()) ** 2 / squares
