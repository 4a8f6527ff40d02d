"""A record that lives and dies with its process: the twin of the MLflow store, for tests."""

import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from tune.errors import TrackingError
from tune.track.recorder import Point, RunRecord, RunRecorder, RunStatus
from tune.track.store import KEY_TAG, KIND_TAG, STUDY_KIND, STUDY_TAG, RunStore


@dataclass(kw_only=True)
class MemoryRun:
    """All that is known of one run."""

    run_id: str
    name: str
    parent: str | None
    tags: dict[str, str]
    status: RunStatus = RunStatus.running
    ended_ms: int = 0
    """When it ended last, in milliseconds since 1970."""

    params: dict[str, str] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    """By metric, in the order of recording."""

    artifacts: dict[str, bytes] = field(default_factory=dict)
    """Path inside the run → content."""

    def record(self) -> RunRecord:
        """Return the run as a store lists it."""
        return RunRecord(
            run_id=self.run_id,
            name=self.name,
            status=self.status,
            params=dict(self.params),
            metrics={name: _last(points) for name, points in self.points.items()},
            tags=dict(self.tags),
        )


class MemoryRecorder(RunRecorder):
    """Writes one run of a `MemoryStore`."""

    def __init__(self, run: MemoryRun, *, new: bool) -> None:
        super().__init__(run.run_id, new=new)
        self._run = run

    def finish(self, status: RunStatus, *, at_ms: int | None = None) -> None:
        """See `RunRecorder`."""
        assert status is not RunStatus.running, "reopen() makes a run running"
        at_ms = at_ms or time.time_ns() // 1_000_000
        if self._run.status is RunStatus.running or at_ms >= self._run.ended_ms:
            self._run.status, self._run.ended_ms = status, at_ms

    def reopen(self) -> None:
        """See `RunRecorder`."""
        self._run.status = RunStatus.running

    def _read_params(self) -> dict[str, str]:
        return self._run.params

    def _read_steps(self, name: str) -> set[int]:
        return {point.step for point in self._run.points.get(name, []) if point.step is not None}

    def _write_params(self, values: dict[str, str]) -> None:
        self._run.params.update(values)

    def _write_points(self, points: list[Point]) -> None:
        for point in points:
            kept = self._run.points.setdefault(point.name, [])
            if point not in kept:
                kept.append(point)

    def _write_tags(self, values: dict[str, str]) -> None:
        self._run.tags.update(values)

    def _write_text(self, name: str, content: str) -> None:
        self._run.artifacts[name] = content.encode()

    def _write_artifact(self, path: Path, *, folder: str | None) -> None:
        top = Path(folder or "")
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        for file in files:
            self._run.artifacts[(top / file.relative_to(path.parent)).as_posix()] = file.read_bytes()


class MemoryStore(RunStore):
    """Keeps runs in a dictionary; `runs` shows them to a test."""

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}

    def prepare(self) -> None:
        """See `RunStore`; there is nothing to make."""

    def open(self, run_id: str) -> RunRecorder:
        """See `RunStore`."""
        if run_id not in self.runs:
            msg = f"there is no run {run_id} in memory: take an id that study_run or trial_run returned."
            raise TrackingError(msg)
        return MemoryRecorder(self.runs[run_id], new=False)

    def read(self, run_id: str) -> RunRecord | None:
        """See `RunStore`."""
        return self.runs[run_id].record() if run_id in self.runs else None

    def unfinished(self, study_run_id: str) -> list[str]:
        """See `RunStore`."""
        return [child.run_id for child in self.children(study_run_id) if child.status is RunStatus.running]

    def children(self, study_run_id: str) -> list[RunRecord]:
        """See `RunStore`."""
        return [run.record() for run in self.runs.values() if run.parent == study_run_id]

    def _find_study(self, name: str) -> str | None:
        own = {STUDY_TAG: name, KIND_TAG: STUDY_KIND}
        return next((run.run_id for run in self.runs.values() if own.items() <= run.tags.items()), None)

    def _find_key(self, key: str) -> str | None:
        return next((run.run_id for run in self.runs.values() if run.tags.get(KEY_TAG) == key), None)

    def _create(self, name: str, *, parent: str | None, tags: dict[str, str], at_ms: int | None = None) -> RunRecorder:
        del at_ms  # its runs are listed as they were made
        run = MemoryRun(run_id=uuid.uuid4().hex, name=name, parent=parent, tags=tags)
        self.runs[run.run_id] = run
        return MemoryRecorder(run, new=True)


def _last(points: list[Point]) -> float:
    """Return the value at the largest step; of those without a step, the one measured last."""
    return max(points, key=lambda point: (point.step or 0, point.at_ms)).value
