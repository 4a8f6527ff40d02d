"""Rows that say what another row says, word for word or nearly.

Which row of several stays depends on what they say, never on where they stand.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tune.config.data import CleanRowsConfig
from tune.data.clusters import Clusters
from tune.data.draw import content_key
from tune.data.similar import LEAST_WORDS, Measure, Progress, Text, near_texts
from tune.data.words import COMMON_ROWS, COMMON_SHARE, TURN, Vocabulary, common, digest, fold, windows, within
from tune.examples import Example

_TEMPLATE = 8
"""So many words in a row that many questions share are a template's."""

Gone = list[tuple[int, str]]
"""Index of each row that goes, and why."""


def exact_duplicates(rows: Sequence[Example]) -> Gone:
    """Return the rows that say the same as another in all turns, after white space, case and form are folded."""
    stays: dict[bytes, Example] = {}
    gone: Gone = []
    for index in by_content(rows):
        row = rows[index]
        said = digest([text for turn in row.messages for text in (turn.role, fold(turn.content))] + [fold(row.answer)])
        if said in stays:
            gone.append((index, f"says the same as {stays[said].id}"))
        else:
            stays[said] = row
    return sorted(gone)


def by_content(rows: Sequence[Example]) -> list[int]:
    """Return the indices of the rows in an order of what they say, and of ids where that is equal."""
    keys = [content_key(row) for row in rows]
    return sorted(range(len(rows)), key=lambda index: (keys[index], rows[index].id))


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """What is near what."""

    gone: Gone
    """The rows that say nearly the same as one that stays."""

    clusters: list[int]
    """(N,) rows whose questions are near share a number, whatever their answers."""

    contradictions: Gone
    """Rows that ask exactly what another asks and are answered otherwise."""


def near_duplicates(rows: Sequence[Example], clean: CleanRowsConfig, on: Progress | None = None) -> Near:
    """Return the rows whose question and answer are both near another row's, and the clusters of near questions.

    The system message must be equal; words of a template, which many questions share, are not compared. Answers are
    near only if their numbers are the same, and short ones only if they are equal: the label of a class, say.
    """
    said = _said(rows)
    total = len(said.questions) + len(said.answers)
    measure = Measure(similarity=clean.similarity, ngram=clean.ngram)
    asked = near_texts(said.questions, measure, on and (lambda done, _: on(done, total)))
    measure = Measure(similarity=clean.similarity, ngram=clean.ngram, amounts=said.amounts)
    answered = near_texts(said.answers, measure, on and (lambda done, of: on(total - of + done, total)))
    gone, clusters = _greedy(rows, said, asked, answered)
    return Near(gone=gone, clusters=clusters, contradictions=_contradictions(rows, said))


@dataclass(slots=True)
class _Said:
    """The rows as numbers of what they say; equal numbers, equal words."""

    order: list[int]
    systems: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    questions: list[Text] = field(default_factory=list)
    answers: list[Text] = field(default_factory=list)
    amounts: frozenset[int] = frozenset()


def question_words(row: Example, vocabulary: Vocabulary) -> list[int]:
    """Return the words of all turns before the answer but the system's, with a mark after each turn."""
    said = [[*vocabulary.encode(fold(turn.content)), TURN] for turn in row.messages if turn.role != "system"]
    return [number for turn in said for number in turn][:-1]


def without_template(texts: list[list[int]], n_rows: int | None = None) -> list[Text]:
    """Return the texts without the words that stand in runs which many of the first `n_rows` of them share."""
    runs = windows(texts, _TEMPLATE)
    n_rows = len(texts) if n_rows is None else n_rows
    known = runs if n_rows == len(texts) else windows(texts[:n_rows], _TEMPLATE)
    hits = within(runs.hashes, common(known, n_rows))
    shared: dict[int, set[int]] = {}
    for row, start in zip(runs.rows[hits].tolist(), runs.starts[hits].tolist(), strict=True):
        shared.setdefault(row, set()).update(range(start, start + _TEMPLATE))
    kept = [tuple(text) for text in texts]
    for row, places in shared.items():
        kept[row] = tuple(number for place, number in enumerate(texts[row]) if place not in places)
    return kept


def _said(rows: Sequence[Example]) -> _Said:
    order = by_content(rows)  # numbers are given in it, so that MinHash values do not depend on the rows' order
    vocabulary = Vocabulary()
    questions = [question_words(rows[index], vocabulary) for index in order]
    asked = _Numbers()
    answered = _Numbers()
    systems: dict[str, int] = {}
    said = _Said(order=order)
    for index, question, own in zip(order, questions, without_template(questions), strict=True):
        row = rows[index]
        said.systems.append(systems.setdefault(_system(row), len(systems)))
        spelled = "" if any(question) else fold(row.messages[-1].content)  # punctuation alone: "?" is not "..."
        said.asked.append(asked.number(own, (tuple(question), spelled)))
        answer = fold(row.answer)
        # Two short answers of the same words may differ in a sign that means something: x[0], "no!", 3'.
        said.answered.append(answered.number(tuple(vocabulary.encode(answer)), answer))
    said.questions, said.answers, said.amounts = asked.texts(), answered.texts(), vocabulary.amounts()
    return said


class _Numbers:
    """Gives equal texts equal numbers; a text too short to be near another is equal only to what is whole equal."""

    def __init__(self) -> None:
        self._known: dict[tuple[Text, object], int] = {}

    def number(self, text: Text, whole: object) -> int:
        key = (text, None) if len(text) >= LEAST_WORDS else ((), whole)
        return self._known.setdefault(key, len(self._known))

    def texts(self) -> list[Text]:
        return [text for text, _ in self._known]


def _system(row: Example) -> str:
    return "\n".join(fold(turn.content) for turn in row.messages if turn.role == "system")


def _greedy(
    rows: Sequence[Example], said: _Said, asked: dict[int, list[int]], answered: dict[int, list[int]]
) -> tuple[Gone, list[int]]:
    """Take a row out if it is near one that stays; a chain of near rows thus loses every other row, not all but one."""
    stays: dict[tuple[int, int, int], int] = {}
    gone: Gone = []
    clusters = Clusters(len(rows))
    linked = _linked_questions(said)
    first: dict[int, int] = {}
    for index, system, question, answer in zip(said.order, said.systems, said.asked, said.answered, strict=True):
        questions = [question, *asked.get(question, ())]
        answers = [answer, *answered.get(answer, ())]
        hits = [stays[key] for q in questions for a in answers if (key := (system, q, a)) in stays]
        if hits:
            gone.append((index, f"says nearly the same as {rows[hits[0]].id}"))
        else:
            stays[system, question, answer] = index
        neighbours = [first[q] for q in questions if q in first and q in linked] if question in linked else []
        for other in [*hits[:1], *neighbours]:
            clusters.join(index, other)
        first.setdefault(question, index)
    return sorted(gone), clusters.numbers()


def _linked_questions(said: _Said) -> set[int]:
    """Return the questions that hold rows together: not those that so many rows ask that they are a template."""
    most = max(COMMON_ROWS, int(COMMON_SHARE * len(said.order)))
    return {question for question, count in Counter(said.asked).items() if count <= most}


def _contradictions(rows: Sequence[Example], said: _Said) -> Gone:
    first: dict[tuple[int, int], tuple[int, int]] = {}
    found: Gone = []
    linked = _linked_questions(said)
    for index, system, question, answer in zip(said.order, said.systems, said.asked, said.answered, strict=True):
        other, its_answer = first.setdefault((system, question), (index, answer))
        if answer != its_answer and question in linked:
            found.append((index, f"asks what {rows[other].id} asks and answers otherwise"))
    return sorted(found)
