"""How much a reply has in common with the right answer, 0 to 1: words, n-grams, characters.

Each is a number an example, so its mean and its change are those of any other score. BLEU of a whole test set is no
such mean; it stands in `tune.evaluate.together`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.metric import Metric
from tune.config.scoring import Normalise
from tune.evaluate.normal import normalised

_SQUAD = (Normalise.case, Normalise.punctuation, Normalise.articles, Normalise.space)


def token_f1(answer: str, reply: str) -> float:
    """Return 2PR / (P + R) of the words that both have, each as often as both have it; two empty texts are equal.

    Source: Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250, and the script published with SQuAD: lower case,
        no punctuation (here Unicode's too), no a, an, the.
    """
    right, said = (normalised(text, _SQUAD).split() for text in (answer, reply))
    if not right or not said:
        return float(right == said)
    return 2 * (Counter(right) & Counter(said)).total() / (len(right) + len(said))


def rouge(answers: Sequence[str], replies: Sequence[str], kind: Metric) -> NDArray[np.float64]:
    """Return (N,) F-measures of rouge-score, without stemming; it sees Latin letters and digits alone."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([kind.value], use_stemmer=False)
    return _each(lambda answer, reply: scorer.score(answer, reply)[kind.value].fmeasure, answers, replies)


def is_blank_to_rouge(answer: str) -> bool:
    """Return whether an answer has no letter or digit that rouge-score would see."""
    return not any(mark.isascii() and mark.isalnum() for mark in answer)


def sentence_bleu(answers: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
    """Return (N,) BLEU of each reply alone: 13a words, the orders that the reply is long enough for, smoothed."""
    return _each(lambda answer, reply: _bleu().sentence_score(reply, [answer]).score / 100, answers, replies)


def chrf(answers: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
    """Return (N,) chrF2 of each reply: F-score, recall twice as heavy, of character n-grams up to 6.

    Source: Popović 2015, https://aclanthology.org/W15-3049, as sacrebleu reckons it.
    """
    from sacrebleu.metrics import CHRF

    scorer = CHRF()
    return _each(lambda answer, reply: scorer.sentence_score(reply, [answer]).score / 100, answers, replies)


@cache
def _bleu() -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(effective_order=True)


def _each(score: Callable[[str, str], float], answers: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
    return np.array([score(answer, reply) for answer, reply in zip(answers, replies, strict=True)], dtype=np.float64)
