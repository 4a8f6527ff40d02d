"""Scores of all replies together that are no mean of single ones: corpus BLEU and macro F1, as one number an example.

Such a score is a function f of sums over the examples. Example i gets f + N (df/dw_i), with w_i how much it weighs: the
mean of these numbers is f to the last digit, as the derivatives add up to nothing, and their spread is how far f would
move on other examples. So the mean, the paired change and its interval are those of any other score. A single number
may lie below 0 or above 1 and says little alone.

Source: the infinitesimal jackknife, Jaeckel 1972; Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans,
    chapter 6.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ORDERS = 4


def corpus_bleu(answers: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
    """Return (N,) numbers whose mean is sacrebleu's BLEU of all replies, 0 to 1.

    Source: Papineni et al. 2002, https://doi.org/10.3115/1073083.1073135; Post 2018, https://arxiv.org/abs/1804.08771.
    """
    from sacrebleu.metrics import BLEU

    single = BLEU(effective_order=True)
    counts = np.array(
        [_counts(single.sentence_score(r, [a])) for a, r in zip(answers, replies, strict=True)]
    )  # (N, 10)
    sums = counts.sum(0)
    whole = [int(number) for number in sums]
    score = BLEU.compute_bleu(
        whole[:_ORDERS], whole[_ORDERS : 2 * _ORDERS], whole[-2], whole[-1], smooth_method="exp"
    ).score / 100  # fmt: skip
    return _spread(score, score * _log_bleu_slopes(counts, sums)) if score else np.zeros(len(counts))


def macro_f1(right: NDArray[np.intp], said: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return (N,) numbers whose mean is the macro F1 over the labels that are right somewhere.

    A reply without a label, or with one that is right nowhere, is wrong and nothing more.

    Args:
        right: (N,) number of the right label.
        said: (N,) number of the label that was said; -1 for none.
    """
    labels = np.unique(right)  # (C,)
    is_right = right[:, None] == labels  # (N, C)
    is_said = said[:, None] == labels  # (N, C)
    size = is_right.astype(np.float64) + is_said  # 2 TP + FP + FN is the sum of these
    hit = 2.0 * (is_right & is_said)
    total = size.sum(0)  # (C,), above 0: each label is right somewhere
    f1 = hit.sum(0) / total
    return _spread(float(f1.mean()), ((hit - f1 * size) / total).mean(1))


def _spread(score: float, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    around = len(slopes) * (slopes - slopes.mean())
    return np.asarray(score + around, dtype=np.float64)


def _counts(score: object) -> list[float]:
    """Return n-grams that match, 1 to 4 long, n-grams in all, words of the reply, words of the answer."""
    assert hasattr(score, "counts")
    assert hasattr(score, "totals")
    assert hasattr(score, "sys_len")
    assert hasattr(score, "ref_len")
    return [*score.counts, *score.totals, score.sys_len, score.ref_len]


def _log_bleu_slopes(counts: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) how log BLEU changes with each example's weight; smoothed counts of nothing stay what they are."""
    shares = np.divide(counts, sums, out=np.zeros_like(counts, dtype=np.float64), where=sums > 0)  # (N, 10)
    matched, made = shares[:, :_ORDERS], shares[:, _ORDERS : 2 * _ORDERS]
    slopes = (matched - made).mean(1)
    words, wanted = sums[-2:]
    if words < wanted:  # the brevity penalty, exp(1 - wanted / words)
        slopes = slopes + wanted / words * (shares[:, -2] - shares[:, -1])
    return np.asarray(slopes, dtype=np.float64)
