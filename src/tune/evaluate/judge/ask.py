"""The judge's answers to many inquiries: from the cache where it was asked before, else from its server."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune import paths
from tune.config.digest import digest
from tune.config.judge import JudgeConfig
from tune.evaluate.judge.endpoint import Answer, Endpoint
from tune.evaluate.judge.pace import Circuit, Cost, Pace
from tune.evaluate.judge.wording import Inquiry
from tune.files import read_json, write_json

_TRIES = 2
"""An answer that cannot be read is asked for once more, with what was wrong with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What the judge says to one inquiry."""

    said: Mapping[str, Any] | None
    """Its answer, checked; None where there is none."""

    why: str = ""
    """Why there is none."""


class Judge:
    """One judging model; several threads may ask it at once."""

    def __init__(self, judge: JudgeConfig) -> None:
        """Make ready to ask; nothing is sent yet.

        Raises:
            EvaluationError: The key cannot be sent, or not in secret.
        """
        self.cost = Cost()
        self.is_kept = True
        """Whether the cache took every answer."""
        self._judge, self._stop, self._lock = judge, threading.Event(), threading.Lock()
        self._endpoint = Endpoint(judge, self._stop)
        self._pace, self._circuit = Pace(judge.per_minute, self._stop), Circuit(judge, self._stop)

    def ask_all(self, inquiries: Sequence[Inquiry], on_progress: Callable[[int, int], None]) -> dict[Inquiry, Finding]:
        """Return what is said to each; the same inquiry is made once. Nothing that the server does makes it raise."""
        found: dict[Inquiry, Finding] = {}
        different = list(dict.fromkeys(inquiries))
        pool = ThreadPoolExecutor(self._judge.n_parallel)
        try:
            asked = {pool.submit(self.ask, inquiry): inquiry for inquiry in different}
            for future in as_completed(asked):
                found[asked[future]] = future.result()
                on_progress(len(found), len(different))
        finally:
            self._stop.set()  # whoever interrupts this does not wait for what is under way
            pool.shutdown(cancel_futures=True)
        return found

    def ask(self, inquiry: Inquiry) -> Finding:
        """Return what is said to one."""
        file = self._file(inquiry)
        if (said := _kept(file, inquiry)) is not None:
            with self._lock:
                self.cost.n_cached += 1
            return Finding(said=said)
        wrong = ""
        for _ in range(_TRIES):
            answer = self._reach(inquiry.messages(wrong))
            if answer.text is None:
                return Finding(said=None, why=answer.why)
            read = inquiry.read(answer.text)
            self._circuit.heard(usable=not isinstance(read, str))
            if not isinstance(read, str):
                self._keep(file, answer)
                return Finding(said=read)
            wrong = read
        why = f"its answer cannot be read: {wrong}"
        self._circuit.failed(why)
        return Finding(said=None, why=why)

    def _reach(self, messages: Sequence[Mapping[str, str]]) -> Answer:
        """Return the answer to a chat, asked again while that may help."""
        answer = Answer()
        for tried in range(self._judge.retries + 1):
            self._pace.take_turn()
            if self._stop.is_set():
                return self._ended()
            answer = self._endpoint.post(messages)
            with self._lock:
                self.cost.add(answer)
            if answer.text is not None:
                return answer
            if self._stop.is_set():
                return self._ended()
            self._circuit.unheard(answer)
            if not answer.again:
                break
            if tried < self._judge.retries:
                self._pause(answer, tried)
        self._circuit.failed(answer.why)
        return answer

    def _ended(self) -> Answer:
        return Answer(why=self._circuit.why or "it was interrupted")

    def _pause(self, answer: Answer, tried: int) -> None:
        if answer.wait_s is not None:
            self._pace.hold(answer.wait_s)
        else:
            self._stop.wait(min(self._judge.backoff_s * 2**tried, self._judge.max_down_s))

    def _file(self, inquiry: Inquiry) -> Path:
        about = {"url": self._judge.base_url, **self._endpoint.settings(), "messages": inquiry.messages()}
        name = digest(about)
        return paths.cache_dir() / "judge" / name[:2] / f"{name}.json"

    def _keep(self, file: Path, answer: Answer) -> None:
        try:
            write_json(file, {"text": answer.text, "tokens": answer.tokens})
        except OSError:  # a full or foreign disk: the answer is good all the same, and it is said at the end
            self.is_kept = False


def _kept(file: Path, inquiry: Inquiry) -> dict[str, Any] | None:
    """Return an earlier answer; None where there is none, or it was damaged."""
    text = (read_json(file) or {}).get("text")
    said = inquiry.read(text) if isinstance(text, str) else None
    if said is None or isinstance(said, str):
        return None
    return said
