"""Which replies `python -m tune replies` shows."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class RepliesConfig:
    """Which replies `replies` shows side by side."""

    trial: int | None = None
    """Of which trial of the study; null for the best."""

    kind: str | None = None
    """Only those to prompts of this kind, or to `task` examples; null for all."""

    most: int | None = 5
    """How many pairs of the prompts and of the task, the most changed first; null for all. At least 0."""

    lines: int = 12
    """Longest reply that is shown, in lines; of a longer one the beginning. At least 1."""


def impossible_replies(replies: RepliesConfig) -> Iterator[str]:
    """Yield a sentence for every value that is not allowed."""
    for name, least in (("trial", 0), ("most", 0), ("lines", 1)):
        value = getattr(replies, name)
        if value is not None and value < least:
            yield f"replies.{name}={value} is not allowed: it must be {least} or more."
