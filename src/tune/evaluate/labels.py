"""Which label of a fixed set a reply names."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tune.config.scoring import LabelFrom, Normalise
from tune.errors import ConfigError, DataError, nearest
from tune.evaluate.normal import normalised

NONE = -1
"""Number of the label of a reply that has none."""

MOST = 200
"""Different answers that are taken for labels; more are taken for free text."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """A set of labels, and how one is read."""

    names: tuple[str, ...]
    rules: frozenset[Normalise]
    how: LabelFrom = LabelFrom.only

    def right(self, answer: str) -> int:
        """Return the number of the label that an answer is.

        Raises:
            DataError: It is none.
        """
        number = self._numbers.get(normalised(answer, self.rules))
        if number is None:
            msg = (
                f"the answer {answer!r} is none of the {len(self.names)} labels of data.scoring.labels. "
                f"{nearest(answer, self.names)} Name every label, or leave the list out to take the data's answers."
            )
            raise DataError(msg)
        return number

    def said(self, reply: str) -> int:
        """Return the number of the label that a reply names; -1 for none, or several where only one may be named."""
        text = normalised(reply, self.rules)
        if self.how is LabelFrom.whole or text in self._numbers:
            return self._numbers.get(text, NONE)
        named = [self._numbers[found] for found in self._pattern.findall(text)]
        if not named or (self.how is LabelFrom.only and len(set(named)) > 1):
            return NONE
        return named[-1 if self.how is LabelFrom.last else 0]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {normalised(name, self.rules): number for number, name in enumerate(self.names)}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # The longest first, so that one inside another is not found where the other stands.
        words = "|".join(re.escape(name) for name in sorted(self._numbers, key=len, reverse=True))
        return re.compile(rf"(?<!\w)(?:{words})(?!\w)")


def read_labels(
    names: Sequence[str] | None, answers: Iterable[str], *, rules: Collection[Normalise], how: LabelFrom
) -> Labels:
    """Return the labels.

    Args:
        names: As they are set; None takes the different answers, in the order of the alphabet.
        answers: Of all the data.
        rules: What is made alike before texts are compared.
        how: How a label is read out of a reply.

    Raises:
        ConfigError: Two labels are the same to the rules, or nothing is left of one.
        DataError: The answers make no set of labels, or one of them is no label.
    """
    used, seen = frozenset(rules), sorted(set(answers))
    folded = {normalised(name, used): name for name in reversed(seen if names is None else names)}
    if "" in folded or (names is not None and len(folded) < len(names)):
        msg = (
            f"{'an answer of the data' if names is None else 'data.scoring.labels'} is empty, or the same as another, "
            f"after data.scoring.normalise=[{', '.join(used)}]: {', '.join(names or [folded.get('', '')])}. Leave "
            "rules out of it, or labels."
        )
        raise ConfigError(msg)
    if names is None and not 1 < len(folded) <= MOST:
        msg = (
            f"the answers of the data are {len(folded)} different texts, which make no set of labels: accuracy and "
            f"macro_f1 need 2 to {MOST} of them. Name the labels in data.scoring.labels, or take another metric."
        )
        raise DataError(msg)
    labels = Labels(names=tuple(sorted(folded.values())) if names is None else tuple(names), rules=used, how=how)
    for answer in seen:
        labels.right(answer)
    return labels
