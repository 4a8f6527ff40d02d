"""A fixed number of questions, drawn from every subject in proportion to its size."""

import hashlib
import json
from dataclasses import asdict

from tune.errors import ConfigError
from tune.evaluate.questions import Question, QuestionBank, make_bank


def draw_items(bank: QuestionBank, n: int, *, seed: int) -> QuestionBank:
    """Return the bank with n of its questions; the same ones wherever bank, n and seed are the same.

    Every subject is asked at least once. Beyond that each has its share of n, and what rounding leaves over goes to
    those that it took most from (largest remainders), so that the mean over the questions stays that of the bank.

    Args:
        bank: All questions.
        n: How many to ask in all.
        seed: Draws which; a question's lot depends on its own text and the seed, and not on its place in a file.

    Raises:
        ConfigError: There are fewer questions than n, or more subjects.
    """
    by_subject: dict[str, list[Question]] = {}
    for question in bank.test:
        by_subject.setdefault(question.subject, []).append(question)
    if not len(by_subject) <= n <= len(bank.test):
        msg = (
            f"evaluate.items={n} is not allowed: {bank.name} has {len(bank.test)} questions in {len(by_subject)} "
            f"subjects, and each subject is asked at least once. Take from {len(by_subject)} to {len(bank.test)}, or "
            "evaluate.items=null for all."
        )
        raise ConfigError(msg)
    shares = share_out(n, {subject: len(questions) for subject, questions in by_subject.items()})
    drawn = [question for subject, some in by_subject.items() for question in _draw(some, shares[subject], seed)]
    return make_bank(bank.name, drawn, bank.shots)


def share_out(n: int, sizes: dict[str, int]) -> dict[str, int]:
    """Return how many of n each stratum gets: in proportion to its size, by largest remainders, at least 1."""
    quotas = {name: n * size / sum(sizes.values()) for name, size in sizes.items()}
    given = {name: max(1, int(quota)) for name, quota in quotas.items()}
    by_lack = sorted(quotas, key=lambda name: given[name] - quotas[name])
    left = n - sum(given.values())
    for name in by_lack[: max(0, left)]:
        given[name] += 1
    for _ in range(-left):  # small strata had one each for less, and the others pay for it
        given[max((name for name in given if given[name] > 1), key=lambda name: given[name] - quotas[name])] -= 1
    return given


def _draw(questions: list[Question], n: int, seed: int) -> list[Question]:
    """Return n of a subject's questions in the order they came."""
    lots = [hashlib.sha256(json.dumps([seed, _content(question)]).encode()).digest() for question in questions]
    chosen = sorted(range(len(questions)), key=lambda i: (lots[i], i))[:n]
    return [questions[i] for i in sorted(chosen)]


def _content(question: Question) -> dict[str, object]:
    return {name: value for name, value in asdict(question).items() if name != "id"}
