"""A run that is recorded while its store is away: on disk at once, in the store as soon as it can be.

Training never waits for the store. A thread sends the journal's lines (journal.py) in order (replay.py);
while a server is away they stay on disk, and what the process leaves behind there anybody may send later.
"""

import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from tune.errors import EntryRefused, StoreAway, TrackingError, TuneError
from tune.track.environment import redact
from tune.track.journal import Journal, JournalRecorder
from tune.track.recorder import check_name, now_ms
from tune.track.replay import Sender, attach
from tune.track.store import KEY_TAG, RunStore

_GATHER_S = 0.5  # steps come faster than a server answers; those of half a second go together
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 15.0


def buffered_run(
    store: RunStore,
    folder: Path,
    *,
    name: str,
    study_run_id: str | None,
    tags: Mapping[str, str],
    run_id: str | None = None,
) -> "BufferedRecorder":
    """Return a recorder of a run that keeps its journal in `folder`. Close it at the end.

    A new run is made at once, or when the store is back. An attempt that goes on in the folder of an
    earlier one goes on in its run, also where the earlier one died before it could say which that is.

    Args:
        store: Where the run is recorded in the end; it is prepared if it has to be.
        folder: The run's own; one process at a time writes to a run.
        name: What a new run is listed under.
        study_run_id: The parent of a new run.
        tags: Notes about a new run. `tune.key` among them tells the run from all others, for example by study and
            trial: a run that has it is not made again, whatever folder it was made from. Without one, the folder tells.
        run_id: The run, where it is known to be there. Its status stays as it is.

    Raises:
        EntryRefused: The key is not allowed.
        TrackingError: The store is there and refuses the new run.
    """
    journal = Journal(folder)
    history = journal.history()
    if run_id is not None:
        attach(journal, run_id)
    elif history.is_empty or tags.get(KEY_TAG, history.key) != history.key:
        key = tags.get(KEY_TAG) or uuid.uuid4().hex
        check_name(key)
        clean = {tag: redact(value) for tag, value in tags.items()}
        about = {"name": redact(name), "study_run_id": study_run_id, "tags": clean, "key": key}
        journal.append("create", about, at_ms=now_ms(after=history.last_ms))
    recorder = BufferedRecorder(store, journal)
    recorder.start()
    return recorder


class BufferedRecorder(JournalRecorder):
    """Writes one run to disk, and sends it from a thread of its own; made by `buffered_run`.

    `run_id` is None until the store has been there once.
    """

    def __init__(self, store: RunStore, journal: Journal) -> None:
        super().__init__(journal)
        self.before: Callable[[], None] = lambda: None
        """Is called before anything is recorded, and may raise: a process that froze may have lost the run."""

        self.trouble: str | None = None
        """What the store refused, or why it takes nothing; None where all is well."""

        self.away: str | None = None
        """Why the lines wait, while the store is away."""

        self._sender = Sender(store, journal)
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._news = threading.Condition()
        self._written, self._sent = 1, 0  # an earlier attempt may have left lines
        self._is_closing = self._is_awaited = self._is_due = False

    def start(self) -> None:
        """Make the run if it is new and the store is there; then send what comes.

        Raises:
            EntryRefused: The store will never take what the run is to begin with.
        """
        if self.run_id is None:
            try:
                self._send()
            except EntryRefused:
                raise
            except TrackingError as error:  # it can be mended, and then nothing is missing
                self.trouble = str(error)
        self._thread.start()

    def flush(self, limit_s: float) -> bool:
        """Wait until all is in the store, or `limit_s` is over; return whether it is."""
        with self._news:
            wanted, self._is_due, self._is_awaited = self._written, True, True
            self._news.notify_all()
            done = self._news.wait_for(lambda: self._sent >= wanted, timeout=limit_s)
            self._is_awaited = False
        return done and self.trouble is None

    def close(self, limit_s: float) -> bool:
        """Wait until all is in the store, or `limit_s` is over, and send no more; return whether all of it is there.

        What is not stays in the folder for `replay`.
        """
        done = self.flush(limit_s)
        with self._news:
            self._is_closing = True
            self._news.notify_all()
        self._thread.join(timeout=1)  # it may be in the middle of a request, which is sent again another time
        return done

    def _append(self, kind: str, value: object, *, at_ms: int | None = None) -> None:
        self.before()
        super()._append(kind, value, at_ms=at_ms)
        with self._news:
            self._written += 1
            self._news.notify_all()

    def _work(self) -> None:
        pause_s = 0.0
        while self._rest(pause_s):
            try:
                pause_s = _GATHER_S if self._send() else self._longer(pause_s)
            except Exception as error:  # noqa: BLE001 - whatever it is, the lines are on disk and it is told
                self.trouble = str(error) if isinstance(error, TuneError) else redact(repr(error))
                pause_s = self._longer(pause_s)

    def _rest(self, pause_s: float) -> bool:
        """Wait for lines, then a little for others that go with them; return False when it is time to stop."""
        with self._news:
            self._news.wait_for(lambda: self._is_closing or self._sent < self._written)
            self._news.wait_for(lambda: self._is_closing or self._is_due, timeout=pause_s)
            self._is_due = False  # somebody waits: one try at once, then one a second
            return not self._is_closing

    def _longer(self, pause_s: float) -> float:
        return _FIRST_PAUSE_S if self._is_awaited else min(max(2 * pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    def _send(self) -> bool:
        """Send what waits; return False while the store is away."""
        with self._news:
            written = self._written
        try:
            self._sender.send()
        except StoreAway as error:
            self.away = str(error)
            return False
        finally:
            if self.run_id is None:
                self.run_id = self._journal.history().run_id
        self.away, self.trouble = None, self._sender.progress.trouble
        with self._news:
            self._sent = written
            self._news.notify_all()
        return True
