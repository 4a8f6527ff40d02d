"""Texts as words, the unit in which duplicates and leaks are looked for."""

import functools
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TURN = 0
"""Number of the mark between two turns, which no word has."""

COMMON_SHARE = 0.01
COMMON_ROWS = 20
"""What stands in more than this share of the rows, and in at least so many, is a template's, not a row's."""

_NUMBER = r"-?\d+(?:[.,]\d+)*"
_SIGNS = r"!=|[<>=+*/%^&|~]+"  # `a < b` and `a > b` are two answers
_ASCII = re.compile(rf"{_NUMBER}|[a-z0-9_]+(?:'[a-z0-9_]+)*|{_SIGNS}", re.ASCII)
_SPACED = re.compile(rf"{_NUMBER}|\w+(?:['\u2019]\w+)*|{_SIGNS}")
# Scripts that put no space between words: Thai to Tibetan and Myanmar, Khmer, kana, ideographs. Each letter is a word.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)


_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"  # arrows to emoji: a smile may be all that a text says

_RARE = "\U00010000-\U0001efff"  # old scripts, taken for letters as a whole: a set is slow with many ranges up here


def fold(text: str) -> str:
    """Return a text in Unicode form NFKC, without case and with single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.casefold().split())


def words(folded: str) -> list[str]:
    """Return the words, numbers, signs of arithmetic and symbols of a folded text, without punctuation."""
    if folded.isascii():
        return _ASCII.findall(folded)
    special, every = _patterns()
    return (every if special.search(folded) else _SPACED).findall(folded)


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds texts that need the pattern for any script, which takes twice as long, and that pattern.

    Letters alone would break words of Indic scripts at their vowel signs, which Unicode calls marks.
    """
    marks = _ranges([code for code in range(0x80, 0x10000) if unicodedata.category(chr(code))[0] == "M"])
    unspaced = re.compile(f"[{_UNSPACED}]")
    codes = [code for code in range(0x80, 0x10000) if _of_word(chr(code)) and not unspaced.match(chr(code))]
    letter = f"[a-z0-9_{_ranges(codes)}{_RARE}]"
    every = rf"{_NUMBER}|[{_UNSPACED}{_SYMBOLS}]|{letter}+(?:['\u2019]{letter}+)*|{_SIGNS}"
    return re.compile(f"[{_UNSPACED}{_SYMBOLS}{_RARE}{marks}]"), re.compile(every)


def _of_word(sign: str) -> bool:
    return sign.isalnum() or unicodedata.category(sign)[0] == "M"


def _ranges(codes: list[int]) -> str:
    """Return ascending code points as the ranges of a set in a pattern."""
    begins = [code for code, before in zip(codes, [0, *codes], strict=False) if code != before + 1]
    ends = [code for code, after in zip(codes, [*codes[1:], 0], strict=True) if code + 1 != after]
    return "".join(f"{chr(begin)}-{chr(end)}" for begin, end in zip(begins, ends, strict=True))


@dataclass(slots=True)
class Vocabulary:
    """The number of each word, given in the order in which they are met; 0 is `TURN`."""

    numbers: dict[str, int] = field(default_factory=dict)

    def encode(self, folded: str) -> list[int]:
        """Return the numbers of a folded text's words."""
        numbers = self.numbers
        return [numbers.setdefault(word, len(numbers) + 1) for word in words(folded)]

    def amounts(self) -> frozenset[int]:
        """Return the numbers of those words that hold a digit."""
        return frozenset(number for word, number in self.numbers.items() if any(sign.isdigit() for sign in word))


@dataclass(frozen=True, slots=True)
class Windows:
    """Every run of so many words, as one 64-bit number each."""

    hashes: NDArray[np.uint64]
    """(K,) equal for equal runs; two different runs agree once in 10^19."""

    rows: NDArray[np.int32]
    """(K,) index of the text that it stands in."""

    starts: NDArray[np.int64]
    """(K,) place of its first word in the text."""


def windows(texts: Sequence[Sequence[int]], length: int) -> Windows:
    """Return the runs of `length` words of each text; none runs over the end of a turn."""
    sizes = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
    flat = np.fromiter((number for text in texts for number in text), dtype=np.uint64, count=int(sizes.sum()))
    n_runs = max(0, flat.size - length + 1)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(texts) else np.zeros(0, dtype=np.int64)
    hashes = np.zeros(n_runs, dtype=np.uint64)
    whole = np.ones(n_runs, dtype=bool)
    mixed, turn = _mix(flat), flat == TURN
    for place in range(length):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + mixed[place : place + n_runs]
        whole &= ~turn[place : place + n_runs]
    rows = np.repeat(np.arange(len(texts), dtype=np.int32), sizes)
    whole &= rows[:n_runs] == rows[length - 1 : length - 1 + n_runs]
    at = np.flatnonzero(whole)
    return Windows(hashes=_mix(hashes[at]), rows=rows[at], starts=at - offsets[rows[at]])


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the numbers over 64 bits.

    Source: the finalizer of SplitMix64, Steele et al. 2014, https://doi.org/10.1145/2660193.2660195.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def common(runs: Windows, n_rows: int) -> NDArray[np.uint64]:
    """Return the runs, sorted, that so many rows share that a template must have put them there."""
    order = np.lexsort((runs.rows, runs.hashes))
    hashes, rows = runs.hashes[order], runs.rows[order]
    first = np.ones(hashes.size, dtype=bool)  # a run that a row repeats counts once
    first[1:] = (hashes[1:] != hashes[:-1]) | (rows[1:] != rows[:-1])
    hashes = hashes[first]
    begins = np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]) != 0)  # of each value, for they are sorted
    counts = np.diff(begins, append=hashes.size)
    return hashes[begins[(counts >= COMMON_ROWS) & (counts > COMMON_SHARE * n_rows)]]


def within(hashes: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return (K,) which of the hashes stand in `known`, which is sorted."""
    if not known.size:
        return np.zeros(hashes.size, dtype=bool)
    at = np.minimum(np.searchsorted(known, hashes), known.size - 1)
    found: NDArray[np.bool_] = known[at] == hashes
    return found


def digest(texts: Iterable[str]) -> bytes:
    """Return 16 bytes that differ where the texts differ."""
    whole = hashlib.blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.digest()
