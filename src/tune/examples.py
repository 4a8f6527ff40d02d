"""What a data set hands to training and evaluation: questions with their right answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_LOSS = -100
"""Label of a token that the loss skips (torch's ignore_index)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    """system, user or assistant."""

    content: str
    """What was said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A chat that ends with a question, and the answer that is right."""

    id: str
    """Unique in its split and the same on every machine."""

    messages: tuple[Message, ...]
    """All turns before the answer; the last one is the user's."""

    answer: str
    """What the assistant should say; the only text the loss is taken on."""

    extra: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """What scoring needs besides the answer, for example the tables a query runs on."""

    label: str | None = None
    """Its class, where the rows have one: splits are stratified and balanced by it."""

    group: str | None = None
    """Examples of one group are never divided between splits."""

    @property
    def question(self) -> str:
        """Return all turns before the answer for people to read: a single one as it is, several with who said them."""
        if len(self.messages) == 1:
            return self.messages[0].content
        return "\n\n".join(f"{turn.role}: {turn.content}" for turn in self.messages)
