"""Plant copies with two words changed among BANKING77's questions; count what a measure finds and what else it takes.

See scripts/near_duplicates. Recall is over planted copies, loss over the published rows: a row is lost where an
earlier one of the same intent, which stays, is near it. All pairs of an intent are looked at, without MinHash.
"""

import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from rapidfuzz.distance import Levenshtein

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from tests.data.plant import two_words_changed  # noqa: E402 - the checkout is no package
from tune.data.public_sets import read_banking77  # noqa: E402
from tune.data.similar import Measure  # noqa: E402
from tune.data.words import fold, words  # noqa: E402
from tune.examples import Example  # noqa: E402

N_PLANTED = 2_000
LENGTHS = ((0, 8), (8, 12), (12, 20), (20, 1000))

Near = Callable[[Example, Example], bool]


def main() -> int:
    """Print a line for each measure and threshold."""
    folder = Path(sys.argv[1])
    rows = read_banking77(folder / "train.csv")
    rng = random.Random(0)  # noqa: S311 - not for secrets
    drawn = rng.sample([row for row in rows if len(asked(row).split()) > 1], N_PLANTED)
    changed = two_words_changed(drawn, "near", rng)
    heads = "  ".join(f"{low}-{high - 1}" if high < 1000 else f"{low}+" for low, high in LENGTHS)  # noqa: PLR2004
    print(f"measure                      recall of {N_PLANTED} planted, by words: {heads}   lost of {len(rows)}")
    for name, near in measures():
        recalls = "  ".join(f"{recall(near, drawn, changed, *lengths):4.0%}" for lengths in LENGTHS)
        print(
            f"{name:28} {recall(near, drawn, changed, 0, 1000):4.0%}   {recalls}   {lost(near, rows) / len(rows):.1%}",
            flush=True,
        )
    return 0


def measures() -> Iterator[tuple[str, Near]]:
    """Yield (name, whether two rows are near)."""
    for unit, grams in (("characters, n=5", characters), ("words, n=1", single_words), ("words, n=2", word_pairs)):
        for least in (0.4, 0.5, 0.6, 0.7, 0.8):
            yield f"Jaccard of {unit}: {least}", jaccard(grams, least)
    yield "two words differ", lambda one, two: differing(one, two, 2) <= 2  # noqa: PLR2004 - in the name
    ours = Measure(similarity=0.9, ngram=2)
    yield (
        "tune's (12 words or more)",
        lambda one, two: differing(one, two, ours.allowed(shorter(one, two))) <= ours.allowed(shorter(one, two)),
    )


def jaccard(grams: Callable[[str], frozenset[str]], least: float) -> Near:
    """Return whether the n-gram sets of two rows are similar."""
    known: dict[str, frozenset[str]] = {}

    def of(row: Example) -> frozenset[str]:
        if row.id not in known:
            known[row.id] = grams(" ".join(words(fold(asked(row)))))
        return known[row.id]

    def near(one: Example, two: Example) -> bool:
        first, second = of(one), of(two)
        together = len(first & second)
        return together >= least * (len(first) + len(second) - together)

    return near


def characters(text: str) -> frozenset[str]:
    """Return all runs of five characters."""
    return frozenset(text[at : at + 5] for at in range(max(1, len(text) - 4)))


def single_words(text: str) -> frozenset[str]:
    """Return all words."""
    return frozenset(text.split())


def word_pairs(text: str) -> frozenset[str]:
    """Return all runs of two words."""
    said = text.split()
    return frozenset(" ".join(said[at : at + 2]) for at in range(max(1, len(said) - 1)))


def asked(row: Example) -> str:
    """Return the question."""
    return row.messages[-1].content


def differing(one: Example, two: Example, most: int) -> int:
    """Return how many words differ, up to `most` + 1."""
    return Levenshtein.distance(words(fold(asked(one))), words(fold(asked(two))), score_cutoff=most)


def shorter(one: Example, two: Example) -> int:
    """Return the number of words of the shorter question."""
    return min(len(words(fold(asked(one)))), len(words(fold(asked(two)))))


def recall(near: Near, drawn: list[Example], changed: list[Example], low: int, high: int) -> float:
    """Return the share of the copies of rows of low to high - 1 words that are near what they were made of."""
    pairs = [pair for pair in zip(drawn, changed, strict=True) if low <= len(words(fold(asked(pair[0])))) < high]
    return sum(near(one, two) for one, two in pairs) / max(1, len(pairs))


def lost(near: Near, rows: list[Example]) -> int:
    """Return how many rows are near an earlier one of their intent that stays."""
    n_lost = 0
    intents: dict[str, list[Example]] = defaultdict(list)
    for row in rows:
        intents[row.answer].append(row)
    for members in intents.values():
        stay: list[Example] = []
        for row in members:
            if any(near(row, other) for other in stay):
                n_lost += 1
            else:
                stay.append(row)
    return n_lost


if __name__ == "__main__":
    sys.exit(main())
