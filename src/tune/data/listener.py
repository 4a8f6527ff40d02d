"""Who is told how far the slow steps of loading data are."""

from typing import Protocol


class Listener(Protocol):
    """Is told what goes on."""

    def on(self, what: str, done: int, total: int) -> None:
        """Hear how far a step is."""

    def announce(self, text: str) -> None:
        """Hear, in a sentence, why it takes long."""


class Silent:
    """Tells nobody."""

    def on(self, what: str, done: int, total: int) -> None:
        """Say nothing."""

    def announce(self, text: str) -> None:
        """Say nothing."""
