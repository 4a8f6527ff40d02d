"""Faults put into clean rows on purpose, so that a test knows what must be found."""

import dataclasses
import random
from collections.abc import Sequence

from tune.data.words import fold, words
from tune.examples import Example, Message


def chat(question: str, answer: str = "fine", *, id: str = "", system: str | None = None) -> Example:  # noqa: A002
    """A row of one question and one answer."""
    turns = () if system is None else (Message(role="system", content=system),)
    return Example(id=id or question, messages=(*turns, Message(role="user", content=question)), answer=answer)


def length(row: Example) -> int:
    return len(words(fold(row.messages[-1].content)))


def copied(rows: Sequence[Example], name: str) -> list[Example]:
    return [dataclasses.replace(row, id=f"{name}/{row.id}") for row in rows]


def two_words_changed(rows: Sequence[Example], name: str, rng: random.Random) -> list[Example]:
    """Copies of which two words, drawn evenly, are replaced by words of the same rows, as often as those have them."""
    vocabulary = [word for row in rows for word in row.messages[-1].content.split()]
    changed = []
    for row in rows:
        said = row.messages[-1].content.split()
        for place in rng.sample(range(len(said)), 2):
            others = [word for word in rng.sample(vocabulary, 20) if words(fold(word)) != words(fold(said[place]))]
            said[place] = others[0]
        changed.append(
            dataclasses.replace(
                row, id=f"{name}/{row.id}", messages=(*row.messages[:-1], Message(role="user", content=" ".join(said)))
            )
        )
    return changed
