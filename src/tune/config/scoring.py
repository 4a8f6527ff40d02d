"""How replies are held against the right answers; part of the recipe (see tune.config.recipe)."""

from dataclasses import dataclass, field
from enum import StrEnum


class Normalise(StrEnum):
    """What is made alike in reply and answer before they are compared; always applied in this order."""

    unicode = "unicode"
    """One form of characters that mean the same (NFKC): ﬁ is fi, a full-width 1 is 1."""

    accents = "accents"
    """Letters lose their accents: é is e."""

    case = "case"
    """Upper and lower case are one."""

    punctuation = "punctuation"
    """ASCII punctuation and all that Unicode calls so is taken out."""

    articles = "articles"
    """The English words a, an and the are taken out."""

    space = "space"
    """White space of any kind and length is one space, and none at both ends."""

    full_stop = "full_stop"
    """One full stop at the end is taken off."""


class LabelFrom(StrEnum):
    """How a label is read out of a reply, after data.scoring.normalise is applied to it and to the labels.

    A label is named where it stands as whole words; one inside a longer one that stands there is not.
    """

    whole = "whole"
    """The reply is the label and nothing else."""

    only = "only"
    """The one label that the reply names; a reply that names two different ones has none."""

    first = "first"
    """The label that is named first."""

    last = "last"
    """The label that is named last, as of a model that thinks aloud."""


@dataclass(kw_only=True, slots=True)
class ScoringConfig:
    """What the metrics of data.metrics need to know."""

    normalise: list[Normalise] = field(default_factory=lambda: [Normalise.case, Normalise.space, Normalise.full_stop])
    """Of exact_match, accuracy and macro_f1: any of unicode, accents, case, punctuation, articles, space, full_stop."""

    labels: list[str] | None = None
    """Of accuracy and macro_f1: the labels; null: the different answers of the data, at most 200."""

    label_from: LabelFrom = LabelFrom.only
    """How a label is read out of a reply: whole, only, first or last."""

    json_schema: str | None = None
    """Of json_schema: a file that holds a JSON schema."""

    regex: str | None = None
    """Of regex: a regular expression of Python, with its flags inside, as in (?i)yes."""

    regex_whole: bool = False
    """The expression must match the whole reply; else somewhere in it is enough."""
