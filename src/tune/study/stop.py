"""A request to stop a worker, taken where nothing is half written.

A signal raises `Interrupted` wherever the process is, so that a long step ends at once; but not inside
`held`, where a trial is claimed or told. A library may swallow what is raised, so the request is kept.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tune.errors import Interrupted


class StopRequest:
    """What SIGTERM and SIGINT ask of this process."""

    def __init__(self) -> None:
        self.asked: str | None = None
        """What was asked, in a sentence; None until then."""

        self._held = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT from now on."""
        signal.signal(signal.SIGTERM, self._take)
        signal.signal(signal.SIGINT, self._take)

    def check(self) -> None:
        """Stop here if it was asked.

        Raises:
            Interrupted: It was.
        """
        if self.asked:
            raise Interrupted(self.asked)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the block end before a request is taken; `check` after it."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def _take(self, number: int, _frame: FrameType | None) -> None:
        first = self.asked is None
        self.asked = f"the worker was sent {signal.Signals(number).name}."
        if first and not self._held:
            raise Interrupted(self.asked)
