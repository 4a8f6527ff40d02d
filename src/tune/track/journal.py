"""What a run is told, line by line on disk, and how far a store has heard it.

run.jsonl   one JSON object a line: {"points": …}, {"params": …}, {"status": …}; only appended to
run.json    how far it was sent; written beside and renamed

A line is in the file when `append` returns, so the death of the process loses nothing; the
death of the machine may lose the last seconds. A line that a kill tore is ended by whoever
appends next and skipped by whoever reads.
"""

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from tune.errors import TrackingError
from tune.files import read_json, write_json
from tune.track.recorder import Point, RunRecorder, RunStatus


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a journal."""

    kind: str
    """run, create, params, points, tags, text, artifact or status; torn where a kill left half a line."""

    value: Any
    at_ms: int
    """When it was written, in milliseconds since 1970."""

    end: int
    """Where the next line begins, in bytes."""


@dataclass(kw_only=True, slots=True)
class Progress:
    """How far a journal was sent."""

    run_id: str | None = None
    """The run that the last line sent belongs to."""

    sent: int = 0
    """Lines that need not be sent again."""

    offset: int = 0
    """Where the first of the others begins, in bytes."""

    refused: int = 0
    """Lines that the store will never take; they stay in the journal."""

    trouble: str | None = None
    """What the store last refused, or why it takes nothing; being away is no trouble."""

    status_ms: int = 0
    """When the beginning or end that the store was last told of this run took place."""


@dataclass(kw_only=True, slots=True)
class History:
    """What a run has been told so far."""

    is_empty: bool = True
    """There is no run yet."""

    key: str | None = None
    """What it was made with, if it was made here."""

    run_id: str | None = None
    """None while it waits to be made."""

    params: dict[str, str] = field(default_factory=dict)
    steps: dict[str, set[int]] = field(default_factory=dict)
    last_ms: int = 0


class Journal:
    """The journal of the run whose files are in `folder`; any number of processes may read, any may append."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "run.jsonl"
        self._progress = folder / "run.json"

    def append(self, kind: str, value: object, *, at_ms: int) -> None:
        """Write one line; it is in the file when this returns.

        Raises:
            TrackingError: The disk is full, or the file cannot be written.
        """
        line = json.dumps({kind: value, "at": at_ms}, allow_nan=False).encode() + b"\n"
        try:
            self._write(line)
        except OSError as error:
            msg = (
                f"the record of this run cannot be written to {self.file} ({error.strerror or error}). "
                "Free some space on its disk or mend its permissions, then give the same command again."
            )
            raise TrackingError(msg) from error

    def lines(self, offset: int = 0) -> list[Line]:
        """Return the whole lines from `offset` on; a last one without an end is being written, or torn."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(offset)
                content = stream.read()
        except FileNotFoundError:
            return []
        return list(_parse(content, offset))

    def progress(self) -> Progress:
        """Return how far it was sent; where that was lost, nothing was, and all is sent again."""
        found = read_json(self._progress) or {}
        try:
            progress = Progress(**cast("dict[str, Any]", found))
            fits = progress.sent >= 0 and 0 <= progress.offset <= self.file.stat().st_size
        except (OSError, TypeError):
            return Progress()
        return progress if fits else Progress()

    def remember(self, progress: Progress) -> None:
        """Write down how far it was sent."""
        write_json(self._progress, asdict(progress))

    def history(self) -> History:
        """Return what its last run has been told, by every process that appended."""
        progress, found = self.progress(), History()
        for line in self.lines():
            is_sent = line.end <= progress.offset
            if line.kind == "create":
                found = History(is_empty=False, key=line.value["key"], run_id=progress.run_id if is_sent else None)
            elif line.kind == "run":
                found = History(is_empty=False, run_id=line.value)
            elif line.kind == "params":
                found.params |= line.value
            elif line.kind == "points":
                for name, _, step, _ in line.value:
                    found.steps.setdefault(name, set()).add(step)
            found.last_ms = max(found.last_ms, line.at_ms)
        return found

    def _write(self, line: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # For its user alone; and opened to append, so that two processes never write over each other.
        stream = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(stream).st_size
            is_torn = size > 0 and os.pread(stream, 1, size - 1) != b"\n"
            line = b"\n" + line if is_torn else line
            if os.write(stream, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(stream)


class JournalRecorder(RunRecorder):
    """Writes one run into its journal; whoever has the store sends it, see replay.py."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._history = journal.history()
        super().__init__(self._history.run_id, new=False)
        self._last_ms = self._history.last_ms

    def finish(self, status: RunStatus, *, at_ms: int | None = None) -> None:
        """See `RunRecorder`."""
        assert status is not RunStatus.running, "reopen() makes a run running"
        self._append("status", status.value, at_ms=at_ms)

    def reopen(self) -> None:
        """See `RunRecorder`."""
        self._append("status", RunStatus.running.value)

    def _append(self, kind: str, value: object, *, at_ms: int | None = None) -> None:
        self._journal.append(kind, value, at_ms=at_ms or self._now_ms())

    def _read_params(self) -> dict[str, str]:
        return self._history.params

    def _read_steps(self, name: str) -> set[int]:
        return self._history.steps.setdefault(name, set())

    def _write_params(self, values: dict[str, str]) -> None:
        self._append("params", values)
        self._history.params |= values

    def _write_points(self, points: list[Point]) -> None:
        rows = [[point.name, point.value, point.step, point.at_ms] for point in points]
        self._append("points", rows, at_ms=points[-1].at_ms)

    def _write_tags(self, values: dict[str, str]) -> None:
        self._append("tags", values)

    def _write_text(self, name: str, content: str) -> None:
        self._append("text", [name, content])

    def _write_artifact(self, path: Path, *, folder: str | None) -> None:
        self._append("artifact", [str(path.resolve()), folder])


def _parse(content: bytes, offset: int) -> Iterator[Line]:
    for raw in content.split(b"\n")[:-1]:
        offset += len(raw) + 1
        yield _line(raw, offset)


def _line(raw: bytes, end: int) -> Line:
    try:
        content = json.loads(raw)
        at_ms = content.pop("at")
        ((kind, value),) = content.items()
    except (ValueError, TypeError, AttributeError, KeyError):
        return Line("torn", None, 0, end)
    return Line(kind, value, at_ms, end)
