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

from tune.data.words import TURN, windows, within

LEAST_WORDS = 12
"""Shorter texts are near only where they are equal: two words of six are what a question is about."""

CHANGED_WORDS = 2
"""So many words may differ in every text of LEAST_WORDS or more, whatever the similarity asks."""

_PERMUTATIONS = 128
_CROWD = 16  # a text of a fuller bucket is compared with so many of its first, and of those before it
_FAIR = 0.7  # of the threshold: three standard errors of 126 values below it

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
        """Return whether two texts of LEAST_WORDS or more are near."""
        from rapidfuzz.distance import Levenshtein

        allowed = self.allowed(min(len(one), len(two)))
        return Levenshtein.distance(one, two, score_cutoff=allowed) <= allowed

    def fixed(self, text: Text) -> tuple[int, ...]:
        """Return those words of a text that must be the same in a near one."""
        return tuple(sorted(number for number in text if number in self.amounts)) if self.amounts else ()


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
    fixed = [measure.fixed(texts[index]) for index in long]
    n_near = np.zeros(len(long), dtype=np.int64)
    for left, right in _pairs(signatures, bands, measure.threshold(), n_near):
        one, two = long[left], long[right]
        if fixed[left] == fixed[right] and measure.near(texts[one], texts[two]):
            found.setdefault(one, []).append(two)
            found.setdefault(two, []).append(one)
            n_near[[left, right]] += 1
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


def _ngrams(texts: Sequence[Text], length: int, n_at_once: int = 1000) -> Iterator[list[int]]:
    """Yield the n-grams of each text as 32-bit numbers."""
    for begin in range(0, len(texts), n_at_once):
        part = texts[begin : begin + n_at_once]
        runs = windows([[number for number in text if number != TURN] for text in part], length)
        values = (runs.hashes >> np.uint64(32)).tolist()
        ends = np.searchsorted(runs.rows, np.arange(len(part) + 1)).tolist()
        yield from (values[ends[row] : ends[row + 1]] for row in range(len(part)))


def _pairs(
    signatures: NDArray[np.uint32], bands: int, threshold: float, n_near: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Yield once each pair, lower index first, that agrees in a band and seems similar by all values.

    datasketch's own index would hold a Python set for each text and band: 1.5 GB for 100,000 texts. Sorting the
    bands finds the same pairs. `n_near` is kept by the caller: a text with _CROWD near ones needs no more of them.
    """
    n_rows = len(signatures)
    known = np.zeros(0, dtype=np.uint64)
    for band in np.hsplit(signatures, bands):
        pairs = _together(band, n_near < _CROWD)
        pairs = pairs[~within(pairs, known)]
        known = np.sort(np.concatenate([known, pairs]))
        pairs = pairs[_seem_similar(signatures, pairs, threshold)]
        left, right = np.divmod(pairs, np.uint64(n_rows))
        yield from zip(left.tolist(), right.tolist(), strict=True)


def _together(band: NDArray[np.uint32], wanting: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return the pairs of a band's buckets for the texts that want more, as left * N + right, sorted.

    In a bucket with a crowd, each text meets the first ones and those before it: a family of many near texts is
    then still held together by its first, without a comparison of each with each.
    """
    n_rows = np.uint64(len(band))
    keys = np.ascontiguousarray(band).view(f"V{4 * band.shape[1]}").ravel()
    _, bucket, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(bucket, kind="stable")
    texts = order.astype(np.uint64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])[bucket[order]]
    at = np.flatnonzero(wanting[order])
    found: list[NDArray[np.uint64]] = [np.zeros(0, dtype=np.uint64)]
    for step in range(1, min(int(sizes.max()), _CROWD + 1)):
        at = at[at - step >= starts[at]]  # those that have another so many places before them
        found.append(texts[at - step] * n_rows + texts[at])
        late = at[at - starts[at] > _CROWD]
        found.append(texts[starts[late] + step - 1] * n_rows + texts[late])
    pairs = np.sort(np.concatenate(found))  # np.unique would hash them, which takes ten times as long
    return pairs[np.diff(pairs, prepend=np.uint64(0)) > 0]


def _seem_similar(signatures: NDArray[np.uint32], pairs: NDArray[np.uint64], threshold: float) -> NDArray[np.bool_]:
    fair = np.zeros(pairs.size, dtype=bool)
    for begin in range(0, pairs.size, 100_000):
        one, two = np.divmod(pairs[begin : begin + 100_000], np.uint64(len(signatures)))
        same = signatures[one] == signatures[two]
        fair[begin : begin + 100_000] = same.mean(axis=1) >= _FAIR * threshold
    return fair
