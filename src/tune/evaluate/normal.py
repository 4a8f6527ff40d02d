"""What is made alike in two texts before they are compared."""

import re
import string
import unicodedata
from collections.abc import Callable, Collection

from tune.config.scoring import Normalise

_ARTICLE = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)


def normalised(text: str, rules: Collection[Normalise]) -> str:
    """Return the text with the rules applied, in the order of `Normalise` whatever the order given."""
    for rule in Normalise:
        if rule in rules:
            text = _APPLY[rule](text)
    return text


def _without_accents(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(mark for mark in parts if not unicodedata.combining(mark)))


def _without_punctuation(text: str) -> str:
    return "".join(
        mark for mark in text if mark not in string.punctuation and not unicodedata.category(mark).startswith("P")
    )


_APPLY: dict[Normalise, Callable[[str], str]] = {
    Normalise.unicode: lambda text: unicodedata.normalize("NFKC", text),
    Normalise.accents: _without_accents,
    Normalise.case: str.casefold,
    Normalise.punctuation: _without_punctuation,
    Normalise.articles: lambda text: _ARTICLE.sub(" ", text),
    Normalise.space: lambda text: " ".join(text.split()),
    Normalise.full_stop: lambda text: text.removesuffix("."),
}
