"""What a process prints, without secrets: a worker's log holds what any library may say, tracebacks too."""

import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

from tune.track.environment import redact


class Redacted:
    """A stream whose text goes through `redact`, as much at once as it is given; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text without its secrets; return the length of the text."""
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines without their secrets."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def print_no_secrets() -> None:
    """Let what this process prints from now on go through `redact`."""
    sys.stdout, sys.stderr = (cast("TextIO", Redacted(stream)) for stream in (sys.stdout, sys.stderr))
