"""Texts that say nearly the same.

MinHash finds the pairs that are worth a look, the number of changed words decides about each. That measure, and not
the similarity of n-gram sets, is the one that tells a copy with two words changed from a question that merely sounds
alike; docs/lab.md has the figures.

Source: Lee et al. 2022, https://arxiv.org/abs/2107.06499, section 4.2 (MinHash, then edit similarity of the tokens).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune.data.words import TURN, windows

LEAST_WORDS = 12
"""Shorter texts are near only where they are equal: two words of six are what a question is about."""

CHANGED_WORDS = 2
"""So many words may differ in every text of LEAST_WORDS or more, whatever the similarity asks."""

_PERMUTATIONS = 128
_CROWD = 256  # most rows of a bucket that each of its rows is compared with

Text = tuple[int, ...]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """When two texts are near."""

    similarity: float
    """Least share of the words that stay, in their order, from 0 to 1."""

    ngram: int
    """Length of the n-grams, in words, that MinHash looks for pairs with."""

    amounts: frozenset[int] = frozenset()
    """Words that must be the same in both, for example numbers."""

    def allowed(self, n_words: int) -> int:
        """Return how many words may differ in texts of this length."""
        if n_words < LEAST_WORDS:
            return 0
        return max(CHANGED_WORDS, int((1 - self.similarity) * n_words + 1e-9))

    def threshold(self) -> float:
        """Return the least Jaccard similarity of n-gram sets that near texts have.

        A changed word changes `ngram` n-grams of either text, so that of n words with d changed at least
        n - ngram + 1 - d * ngram n-grams stay. The shortest texts have the least.
        """
        least = 1.0
        for n_words in (LEAST_WORDS, 1000):
            n_grams = n_words - self.ngram + 1
            changed = self.allowed(n_words) * self.ngram
            least = min(least, (n_grams - changed) / (n_grams + changed))
        return max(0.2, least)  # below, everything is a candidate

    def near(self, one: Text, two: Text) -> bool:
        """Return whether two texts are near."""
        from rapidfuzz.distance import Levenshtein

        allowed = self.allowed(min(len(one), len(two)))
        if not allowed or abs(len(one) - len(two)) > allowed:
            return one == two
        if Levenshtein.distance(one, two, score_cutoff=allowed) > allowed:
            return False
        return not self.amounts or self._amounts(one) == self._amounts(two)

    def _amounts(self, text: Text) -> list[int]:
        return sorted(number for number in text if number in self.amounts)


def near_texts(texts: Sequence[Text], measure: Measure, on: Progress | None = None) -> dict[int, list[int]]:
    """Return, for each text that has any, the indices of the others that are near it.

    Args:
        texts: Words as numbers; no two of the texts are equal.
        measure: When two are near.
        on: Told how many texts of how many have been read.
    """
    long = [index for index, text in enumerate(texts) if len(text) >= LEAST_WORDS]
    found: dict[int, list[int]] = {}
    if len(long) < 2:  # noqa: PLR2004 - a pair
        return found
    signatures, bands = _signatures([texts[index] for index in long], measure, on)
    seen: set[int] = set()
    for left, right in _pairs(signatures, bands, measure.threshold()):
        key = left * len(long) + right
        if key in seen:
            continue
        seen.add(key)
        one, two = long[left], long[right]
        if measure.near(texts[one], texts[two]):
            found.setdefault(one, []).append(two)
            found.setdefault(two, []).append(one)
    return {index: sorted(others) for index, others in found.items()}


def _signatures(texts: Sequence[Text], measure: Measure, on: Progress | None) -> tuple[NDArray[np.uint32], int]:
    """Return (N, bands * values of a band) MinHash values, and how many bands an LSH index would make of them."""
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

    # A pair that is not looked at is lost, one looked at in vain costs microseconds: hence the weights.
    index = MinHashLSH(threshold=measure.threshold(), num_perm=_PERMUTATIONS, weights=(0.02, 0.98))
    signatures = np.empty((len(texts), index.b * index.r), dtype=np.uint32)
    made = MinHash.generator(_ngrams(texts, measure.ngram), num_perm=_PERMUTATIONS, hashfunc=int, scheme="affine32")
    for row, minhash in enumerate(made):
        signatures[row] = minhash.hashvalues[: index.b * index.r]
        if on is not None and row % 1000 == 0:
            on(row, len(texts))
    if on is not None:
        on(len(texts), len(texts))
    return signatures, index.b


def _ngrams(texts: Sequence[Text], length: int, n_at_once: int = 5000) -> Iterator[list[int]]:
    """Yield the n-grams of each text as 32-bit numbers."""
    for begin in range(0, len(texts), n_at_once):
        part = texts[begin : begin + n_at_once]
        runs = windows([[number for number in text if number != TURN] for text in part], length)
        values = (runs.hashes >> np.uint64(32)).tolist()
        ends = np.searchsorted(runs.rows, np.arange(len(part) + 1)).tolist()
        yield from (values[ends[row] : ends[row + 1]] for row in range(len(part)))


def _pairs(signatures: NDArray[np.uint32], bands: int, threshold: float) -> Iterator[tuple[int, int]]:
    """Yield the pairs, lower index first, that agree in a band and seem similar by all values.

    datasketch's own index would hold a Python set for each text and band: 1.5 GB for 100,000 texts. Sorting the
    bands finds the same pairs. In a bucket with a crowd, each text meets only the next ones.
    """
    for band in np.hsplit(signatures, bands):
        keys = np.ascontiguousarray(band).view(f"V{4 * band.shape[1]}").ravel()
        _, bucket, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        order = np.argsort(bucket, kind="stable")
        for step in range(1, min(int(sizes.max()), _CROWD)):
            order = order[sizes[bucket[order]] > step]
            left, right = order[:-step], order[step:]
            same = bucket[left] == bucket[right]
            yield from _similar(signatures, left[same], right[same], threshold)


def _similar(
    signatures: NDArray[np.uint32], left: NDArray[np.intp], right: NDArray[np.intp], threshold: float
) -> Iterator[tuple[int, int]]:
    least = threshold / 2  # far below any sampling error of 100 values
    for begin in range(0, left.size, 100_000):
        one, two = left[begin : begin + 100_000], right[begin : begin + 100_000]
        fair = (signatures[one] == signatures[two]).mean(axis=1) >= least
        yield from zip(one[fair].tolist(), two[fair].tolist(), strict=True)
