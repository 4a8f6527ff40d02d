"""How far fine-tuning moved a perplexity, and how sure we are.

Both models read the same tokens, so they are paired document by document. A perplexity is the exponential of a ratio,
all nats over all tokens, and the tokens of one document move together: the documents are what was drawn, not the
tokens. So the change is judged on the logarithm, where it is a ratio of sums, and carried over to the perplexity.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # quantile of Student's t; scipy.stats would take a second more to import

from tune.errors import EvaluationError
from tune.evaluate.clusters import LEAST
from tune.evaluate.paired import Delta, student_p


def perplexity_delta(
    base: NDArray[np.float64],
    tuned: NDArray[np.float64],
    tokens: NDArray[np.float64],
    *,
    confidence: float = 0.95,
) -> Delta:
    """Return the change in perplexity, in its own unit, with its interval.

    With d = tuned - base and t tokens a document, the change of the logarithm is c = sum(d) / sum(t). Its standard
    error is that of a ratio of sums, linearised: sqrt(N / (N - 1) x sum((d - c t)^2)) / sum(t), and its interval
    Student's with N - 1 degrees of freedom. The perplexity changes by P (exp(c) - 1), where P is the base's on these
    documents; the ends of the interval are carried over likewise, so it is not symmetric, and never asks for a
    perplexity below 0.

    Args:
        base: (N,) nats of each document under the base model, summed over its tokens.
        tuned: (N,) the same under the adapted model.
        tokens: (N,) how many tokens that sums over.
        confidence: Probability that the interval is meant to cover, between 0 and 1.

    Raises:
        EvaluationError: The arrays differ in length or hold fewer than two documents, or NaN or infinity.

    Source: Cochran 1977, Sampling Techniques, 3rd edition, section 6.3-6.4 (ratio estimates); it equals weighted least
        squares of d / t on a constant with weights t and the HC1 variance.
    """
    _check(base, tuned, tokens)
    change, n = tuned - base, base.size  # (N,) nats
    mean = float(change.sum() / tokens.sum())
    rest = change - mean * tokens  # (N,)
    stderr = math.sqrt(n / (n - 1) * float(rest @ rest)) / float(tokens.sum())
    reach = float(stdtrit(n - 1, (1 + confidence) / 2)) * stderr
    before = math.exp(float(base.sum() / tokens.sum()))
    low, middle, high = (before * math.expm1(end) for end in (mean - reach, mean, mean + reach))
    p = student_p(mean, stderr, freedom=n - 1)
    spread = (before + middle) * stderr
    return Delta(mean=middle, stderr=spread, low=low, high=high, n=n, p=p, confidence=confidence)


def _check(base: NDArray[np.float64], tuned: NDArray[np.float64], tokens: NDArray[np.float64]) -> None:
    if not base.shape == tuned.shape == tokens.shape or base.size < LEAST:
        msg = (
            f"cannot pair the perplexities of {base.size} base and {tuned.size} tuned documents of {tokens.size}: need "
            "the same two or more documents. Evaluate both with the same settings, on a corpus of two or more."
        )
        raise EvaluationError(msg)
    assert (tokens > 0).all(), "a document of which nothing is scored"
    for name, nats in (("base", base), ("tuned", tuned)):
        bad = int(np.count_nonzero(~np.isfinite(nats)))
        if bad:
            msg = (
                f"cannot pair perplexities: {bad} of {nats.size} {name} documents have NaN or infinity, all must be "
                f"finite. The {name} model has diverged; lower train.learning_rate or leave the trial out."
            )
            raise EvaluationError(msg)
