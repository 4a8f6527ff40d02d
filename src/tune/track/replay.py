"""From a journal into its store: in order, by one process at a time, and nothing twice.

A kill between sending and remembering makes lines be sent again, so each of them may be:
a run is looked for by its key before it is made, a point carries the time that it was
measured at and is the same row again, and of several ends and beginnings only the last
one that waits is told.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tune.errors import EntryRefused, StoreAway, TrackingError
from tune.track.journal import Journal, JournalRecorder, Line, Progress
from tune.track.recorder import Point, RunRecorder, RunStatus, now_ms
from tune.track.store import RunStore

TROUBLE_TAG = "tune.trouble"
_MOST_POINTS = 1000  # MLflow's limit for one request
_LOCK_LIMIT_S = 10.0


def unsent(folder: Path) -> int:
    """Return how many lines of the journal in `folder` the store has not been sent; without a journal, 0."""
    journal = Journal(folder)
    return sum(line.kind != "torn" for line in journal.lines(journal.progress().offset))


def trouble(folder: Path) -> str | None:
    """Return what the store refused of the journal in `folder`, or why it takes nothing; None where all is well."""
    return Journal(folder).progress().trouble


def replay(store: RunStore, folder: Path) -> int:
    """Send what the journal of a process that is gone still holds; return the number of lines sent.

    Raises:
        StoreAway: The server does not answer, or another process is sending these lines.
        TrackingError: The store takes nothing for this run, for example because it was deleted.
    """
    return Sender(store, Journal(folder)).send()


def end_run(store: RunStore, folder: Path, *, run_id: str | None, status: RunStatus, tags: Mapping[str, str]) -> bool:
    """End the run of a process that is gone, after all that its journal still holds.

    Args:
        store: Where it is recorded.
        folder: Where its journal is, if it has one.
        run_id: Its run; None if that is not known, then it is the one that the journal begins.
        status: How it ended.
        tags: Why.

    Returns:
        Whether the store knows; False when it is away and the lines wait in the folder. Where there is
        neither a run nor a journal, there is nothing to end and the answer is True.

    Raises:
        TrackingError: The store takes nothing for this run.
    """
    journal = Journal(folder)
    if run_id is None and journal.history().is_empty:
        return True
    attach(journal, run_id)
    recorder = JournalRecorder(journal)
    recorder.tags(tags)
    recorder.finish(status)
    try:
        Sender(store, journal).send()
    except StoreAway:
        return False
    return True


def attach(journal: Journal, run_id: str | None) -> None:
    """Let the lines that follow belong to this run; None for the one they belong to already."""
    history = journal.history()
    if run_id is not None and history.run_id != run_id:
        journal.append("run", run_id, at_ms=now_ms(after=history.last_ms))


class Sender:
    """Sends one journal to its store; remembers how far it got after every step."""

    def __init__(self, store: RunStore, journal: Journal) -> None:
        self.journal = journal
        self.progress = Progress()
        """As of the last time that something was sent."""

        self._store = store
        self._recorder: RunRecorder | None = None

    def send(self) -> int:
        """Send all lines that wait; return how many.

        Raises:
            StoreAway: The server does not answer, or another process is sending these lines.
            TrackingError: The store takes nothing for this run, for example because it was deleted.
        """
        with self._alone():
            progress = self.journal.progress()
            if progress.offset != self.progress.offset:  # another process was here
                self._recorder = None
            self.progress = progress
            return sum(self._group(group) for group in _groups(self.journal.lines(progress.offset)))

    def _group(self, lines: list[Line]) -> int:
        try:
            self._tell(lines)
        except EntryRefused as error:
            if len(lines) > 1:
                return sum(self._group([line]) for line in lines)
            self.progress.refused += 1
            self.progress.trouble = str(error)
            self._tag_trouble()
        except StoreAway:
            raise
        except TrackingError as error:
            self.progress.trouble = str(error)
            self.journal.remember(self.progress)
            raise
        if not self.progress.refused:
            self.progress.trouble = None
        self.progress.sent += len(lines)
        self.progress.offset = lines[-1].end
        self.journal.remember(self.progress)
        return sum(line.kind != "torn" for line in lines)

    def _tell(self, lines: list[Line]) -> None:
        """Send lines of one kind: several of points, else one."""
        kind, value, at_ms = lines[0].kind, lines[0].value, lines[0].at_ms
        if kind == "create":
            self._store.prepare()
            self._recorder = self._store.trial_run(**value, at_ms=at_ms)
            self.progress.run_id = self._recorder.run_id
        elif kind == "run":
            self._recorder, self.progress.run_id, self.progress.status_ms = None, value, 0
        elif kind == "points":
            self._run().points([Point(*row) for line in lines for row in line.value])
        elif kind == "params":
            self._run().params(value)
        elif kind == "tags":
            self._run().tags(value)
        elif kind == "text":
            self._run().text(*value)
        elif kind == "artifact":
            self._run().artifact(Path(value[0]), folder=value[1])
        elif kind == "status":
            self._set_status(RunStatus(value), at_ms)

    def _set_status(self, status: RunStatus, at_ms: int) -> None:
        if at_ms < self.progress.status_ms:
            return  # a process that woke up late wrote it behind what came after it
        self.progress.status_ms = at_ms
        if status is RunStatus.running:
            self._run().reopen()
        else:
            self._run().finish(status, at_ms=at_ms)

    def _run(self) -> RunRecorder:
        if self._recorder is None:
            if self.progress.run_id is None:
                msg = f"the journal {self.journal.file} does not say which run it belongs to. Move it away."
                raise TrackingError(msg)
            self._recorder = self._store.open(self.progress.run_id)
        return self._recorder

    def _tag_trouble(self) -> None:
        """Let the run itself say that something of it is missing."""
        if self.progress.run_id is not None:
            self._run().tags({TROUBLE_TAG: self.progress.trouble or ""})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.journal.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.journal.folder / "run.lock", timeout=_LOCK_LIMIT_S):
                yield
        except Timeout as error:
            msg = (
                f"another process is sending {self.journal.file}. Wait for it; if it hangs, end it and give the same "
                "command again."
            )
            raise StoreAway(msg) from error


def _groups(lines: list[Line]) -> Iterator[list[Line]]:
    """Yield lines that are sent together: points as many as fit, everything else alone."""
    outdated = _outdated(lines)
    group: list[Line] = []
    for line in lines:
        n_points = sum(len(each.value) for each in group)
        if group and (line.kind != "points" or n_points + len(line.value) > _MOST_POINTS):
            yield group
            group = []
        if line.kind == "points":
            group.append(line)
        else:
            yield [Line("outdated", None, line.at_ms, line.end) if line.end in outdated else line]
    if group:
        yield group


def _outdated(lines: list[Line]) -> set[int]:
    """Return where those ends and beginnings of a run stand that another one of the same run comes after."""
    found: set[int] = set()
    last: Line | None = None
    for line in lines:
        if line.kind in {"run", "create"}:
            last = None
        elif line.kind == "status":
            if last is not None:
                found.add(min(last, line, key=lambda each: each.at_ms).end)
            last = line if last is None else max(line, last, key=lambda each: each.at_ms)
    return found
