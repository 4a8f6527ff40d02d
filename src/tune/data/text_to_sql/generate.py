"""Make the examples of the text_to_sql task from a seed.

Every split draws from its own stream, one example after the other: a longer
split starts with the shorter one, and no split depends on another's length.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tune.data.text_to_sql.allotment import SPLITS, Novelty, Split, allot, fill
from tune.data.text_to_sql.checks import Databases
from tune.data.text_to_sql.patterns import PATTERNS, Level, Pattern, gold
from tune.data.text_to_sql.rows import setup_script
from tune.data.text_to_sql.tables import Schema
from tune.errors import DataError
from tune.examples import Example, Message

SYSTEM_PROMPT = "Write one SQLite query."

LEVEL_CYCLE: tuple[Level, ...] = ("easy", "medium", "easy", "medium", "hard")
"""40 % easy, 40 % medium, 20 % hard, exactly: a split's difficulty does not hang on the seed."""

NOVELTY_CYCLE: dict[Split, tuple[Novelty, ...]] = {
    "train": ("none",),
    "validation": ("schema", "phrasing", "combination"),
    "test": ("schema", "phrasing", "combination"),
}

N_TRIES = 30
"""Fillings tried before a pattern is passed over; most patterns need one to three."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drawn:
    """One filled-in pattern."""

    pattern: Pattern
    schema: Schema
    question: str
    answer: str


def generate(*, n_train: int, n_validation: int, n_test: int, seed: int) -> dict[str, list[Example]]:
    """Return the examples of each split, under "train", "validation" and "test".

    Args:
        n_train: Number of training examples.
        n_validation: Number of validation examples, a third of each novelty.
        n_test: Number of test examples, likewise.
        seed: Draws other examples of the same task.

    Raises:
        DataError: More examples were asked for than there are different questions.
    """
    sizes = zip(SPLITS, (n_train, n_validation, n_test), strict=True)
    return {split: _split(split, size, seed) for split, size in sizes}


def _split(split: Split, size: int, seed: int) -> list[Example]:
    rng = random.Random(f"text_to_sql/{seed}/{split}")  # noqa: S311 - repeatable draws, no secrets
    decks = {level: _deck([pattern for pattern in PATTERNS if pattern.level == level], rng) for level in LEVEL_CYCLE}
    novelties = NOVELTY_CYCLE[split]
    seen: set[str] = set()
    examples = []
    with Databases() as databases:
        for place in range(size):
            novelty = novelties[place % len(novelties)]
            deck = decks[LEVEL_CYCLE[place % len(LEVEL_CYCLE)]]
            drawn = _draw_new(deck, split, novelty, (seen, databases, rng))
            if drawn is None:
                raise DataError(_too_many(split, size, place))
            seen.add(drawn.question)
            examples.append(_example(f"{split}-{place:05d}", drawn, novelty))
    return examples


def _deck(patterns: Sequence[Pattern], rng: random.Random) -> Iterator[Pattern]:
    """Deal patterns without end, each once before any comes twice."""
    while True:
        yield from rng.sample(patterns, len(patterns))


def _draw_new(
    deck: Iterator[Pattern], split: Split, novelty: Novelty, means: tuple[set[str], Databases, random.Random]
) -> _Drawn | None:
    """Return a question not seen before, or None when every pattern of the deck seems used up."""
    seen, databases, rng = means
    for _ in range(2 * len(PATTERNS)):
        pattern = next(deck)
        allotment = allot(pattern, split, novelty)
        for _ in range(N_TRIES if allotment.schemas else 0):
            schema, phrasing = rng.choice(allotment.schemas), rng.choice(allotment.phrasings)
            slots = fill(pattern, schema, rng)
            question, sql = phrasing.format(**slots), pattern.sql.format(**slots)
            question = question[0].upper() + question[1:]
            if question not in seen and databases.is_telling(schema, sql, ordered=pattern.ordered):
                return _Drawn(pattern=pattern, schema=schema, question=question, answer=gold(sql))
    return None


def _example(name: str, drawn: _Drawn, novelty: Novelty) -> Example:
    return Example(
        id=name,
        messages=(
            Message(role="system", content=SYSTEM_PROMPT),
            Message(role="user", content=f"{drawn.schema.signature}\n{drawn.question}"),
        ),
        answer=drawn.answer,
        extra={
            "setup": setup_script(drawn.schema),
            "ordered": drawn.pattern.ordered,
            "pattern": drawn.pattern.name,
            "schema": drawn.schema.name,
            "novelty": novelty,
            "writes": drawn.pattern.writes,
        },
    )


def _too_many(split: Split, size: int, place: int) -> str:
    return (
        f"cannot make {size} different {split} questions of text_to_sql: "
        f"only {place} were found. Ask for {place} or fewer."
    )
