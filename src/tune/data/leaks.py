"""Training rows that stand in what the model is tested with.

What is asked decides: a row with a test question leaks whatever its answer, while two questions may well share an
answer. So the user's turns of held-out examples, and plain texts whole, are looked for in all turns of a training row.
System messages are left out, and so are runs of words that many training rows share, which are a template's.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tune.config.data import CleanRowsConfig
from tune.data.duplicates import question_words, without_template
from tune.data.similar import LEAST_WORDS, Measure, Text, near_texts
from tune.data.words import COMMON_ROWS, COMMON_SHARE, TURN, Vocabulary, common, fold, windows, within
from tune.examples import Example

LEAST_WHOLE = 3
"""A text of fewer words leaks only with its answer: "yes", or "thank you", is asked everywhere."""

LEAST_TURN = 5
"""A single turn of several must have so many words: "tell me more" is said in many chats."""

HeldOut = Mapping[str, Sequence[Example | str]]


def find_leaks(
    train: Sequence[Example], held_out: HeldOut, *, ngram: int, clean: CleanRowsConfig
) -> list[tuple[int, str]]:
    """Return the training rows that leak, as (index, where it stands: "test: test.csv/12").

    A row leaks if it shares `ngram` words in a row with a held-out question or text, asks the same words as a whole,
    or asks nearly the same by the measure of `near_duplicates`.

    Args:
        train: The rows to look through.
        held_out: Examples, or plain texts, by the name of what they are held out for.
        ngram: So many words in a row are a leak.
        clean: Its similarity and n-gram say what is near.
    """
    vocabulary = Vocabulary()
    answers = [vocabulary.encode(fold(row.answer)) for row in train]
    asked = [question_words(row, vocabulary) for row in train]
    where = [(f"{name}: {_name(item, at)}", item) for name, items in held_out.items() for at, item in enumerate(items)]
    texts = [_asked(item, vocabulary) for _, item in where]
    own = without_template([*asked, *texts], len(train))
    found: dict[int, int] = {}
    for pairs in (
        _whole(train, asked, [item for _, item in where], texts),
        _shared_runs(own[: len(train)], answers, own[len(train) :], ngram),
        _near(own[: len(train)], own[len(train) :], clean),
    ):
        for row, item in pairs:
            found.setdefault(row, item)
    return [(row, where[item][0]) for row, item in sorted(found.items())]


def _name(item: Example | str, at: int) -> str:
    return item.id if isinstance(item, Example) else f"text {at + 1}"


def _asked(item: Example | str, vocabulary: Vocabulary) -> list[int]:
    return vocabulary.encode(fold(item)) if isinstance(item, str) else question_words(item, vocabulary)


def _whole(
    train: Sequence[Example], asked: list[list[int]], items: list[Example | str], texts: list[list[int]]
) -> Iterator[tuple[int, int]]:
    """Yield (row, item) that ask the same words; very short ones must be answered alike as well."""
    known: dict[tuple[Text, str | None], int] = {}
    for at, (item, text) in enumerate(zip(items, texts, strict=True)):
        if isinstance(item, Example) and any(text):
            known.setdefault((tuple(text), fold(item.answer)), at)
        if len(text) >= LEAST_WHOLE:
            known.setdefault((tuple(text), None), at)
    many = _asked_by_many(asked)
    for row, text in enumerate(asked):
        question = tuple(text)
        hit = known.get((question, fold(train[row].answer)))
        for part in (question, *_turns(question)) if question not in many else ():
            hit = known.get((part, None)) if hit is None else hit
        if hit is not None:
            yield row, hit


def _turns(question: Text) -> list[Text]:
    """Return the turns of a question that has several, without the short ones."""
    if TURN not in question:
        return []
    ends = [at for at, number in enumerate((*question, TURN)) if number == TURN]
    parts = [question[begin:end] for begin, end in zip([0, *(end + 1 for end in ends)], ends, strict=False)]
    return [part for part in parts if len(part) >= LEAST_TURN]


def _asked_by_many(asked: list[list[int]]) -> set[Text]:
    counts: dict[Text, int] = {}
    for text in asked:
        counts[tuple(text)] = counts.get(tuple(text), 0) + 1
    return {text for text, count in counts.items() if count >= COMMON_ROWS and count > COMMON_SHARE * len(asked)}


def _shared_runs(
    asked: Sequence[Text], answers: Sequence[Sequence[int]], texts: Sequence[Text], ngram: int
) -> Iterator[tuple[int, int]]:
    """Yield (row, item) that share a run of `ngram` words."""
    runs = windows([[*question, TURN, *answer] for question, answer in zip(asked, answers, strict=True)], ngram)
    held = windows(texts, ngram)
    order = np.argsort(held.hashes, kind="stable")
    known, owners = held.hashes[order], held.rows[order]
    hits = np.flatnonzero(within(runs.hashes, known))
    hits = hits[~within(runs.hashes[hits], common(runs, len(asked)))]
    items = owners[np.searchsorted(known, runs.hashes[hits])]
    yield from zip(runs.rows[hits].tolist(), items.tolist(), strict=True)


def _near(asked: Sequence[Text], texts: Sequence[Text], clean: CleanRowsConfig) -> Iterator[tuple[int, int]]:
    """Yield (row, item) whose questions differ in a few words."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys([*asked, *texts]))}
    near = near_texts(list(numbers), Measure(similarity=clean.similarity, ngram=clean.ngram))
    first: dict[int, int] = {}
    for item, text in enumerate(texts):
        if len(text) >= LEAST_WORDS:
            first.setdefault(numbers[text], item)
    for row, text in enumerate(asked):
        number = numbers[text]
        for other in (number, *near.get(number, ())):
            if other in first:
                yield row, first[other]
                break
