"""When the judge may be asked, and when it is asked no more."""

import threading
import time
from dataclasses import dataclass

from tune.config.judge import JudgeConfig
from tune.evaluate.judge.endpoint import Answer


class Pace:
    """Spreads the starts of requests evenly, and holds all of them where the server asks for it."""

    def __init__(self, per_minute: float | None, stop: threading.Event) -> None:
        self._gap_s = 60 / per_minute if per_minute else 0.0
        self._stop, self._lock, self._free = stop, threading.Lock(), 0.0

    def take_turn(self) -> None:
        """Wait for a place of one's own."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free)
            self._free = start + self._gap_s
        self._stop.wait(start - now)

    def hold(self, seconds: float) -> None:
        """Let no request start for so long."""
        with self._lock:
            self._free = max(self._free, time.monotonic() + seconds)


class Circuit:
    """Opens where asking on is of no use: the judge is down, refuses, or answers nothing that can be read."""

    def __init__(self, judge: JudgeConfig, stop: threading.Event) -> None:
        self._judge, self._stop, self._lock = judge, stop, threading.Lock()
        self._n_failed, self._silent_since = 0, 0.0
        self.why = ""
        """Why it is open; empty while it is not."""

    def heard(self, *, usable: bool) -> None:
        """Note an answer of the model."""
        with self._lock:
            self._silent_since = 0.0
            if usable:
                self._n_failed = 0

    def unheard(self, answer: Answer) -> None:
        """Note a request that came to nothing."""
        now, most_s = time.monotonic(), self._judge.max_down_s
        with self._lock:
            self._silent_since = self._silent_since or now
            if answer.shut:
                self._open(answer.why)
            elif now - self._silent_since > most_s:
                self._open(f"no answer for {most_s:g} s; at last: {answer.why}")
            elif (answer.wait_s or 0) > most_s:
                self._open(f"{answer.why}, and asks to wait {answer.wait_s:.0f} s")

    def failed(self, why: str) -> None:
        """Note a question that no usable answer was got to."""
        with self._lock:
            self._n_failed += 1
            if self._n_failed >= self._judge.max_failures:
                self._open(f"{self._n_failed} questions in a row without a usable answer; at last: {why}")

    def _open(self, why: str) -> None:
        self.why = self.why or f"the judge was asked no more: {why}"
        self._stop.set()


@dataclass(slots=True)
class Cost:
    """What was asked of the server, and what it counted."""

    n_requests: int = 0
    n_cached: int = 0
    """Answers that were kept from an earlier time and cost nothing now."""

    n_uncounted: int = 0
    """Answers whose tokens the server did not count, and requests that it may have answered too late."""

    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, answer: Answer) -> None:
        """Count one request."""
        self.n_requests += 1
        if answer.tokens is not None:
            self.input_tokens += answer.tokens[0]
            self.output_tokens += answer.tokens[1]
        elif answer.text is not None or answer.is_late:
            self.n_uncounted += 1

    def money(self, judge: JudgeConfig) -> float | None:
        """Return the price of what was counted, in the currency of the prices; None where there are none."""
        read, written = judge.price_per_million_input, judge.price_per_million_output
        if read is None or written is None:
            return None
        return (self.input_tokens * read + self.output_tokens * written) / 1e6
