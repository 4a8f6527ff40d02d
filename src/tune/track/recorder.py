"""The contract of one run's record.

What every store must do alike is written here once: names are checked, secrets are
taken out, numbers that are not finite are kept away from the metrics, and a step is
recorded once. A store (store.py) only adds the writing and the reading.

One process at a time writes to one run; many processes write to one store.
"""

import hashlib
import math
import posixpath
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tune.errors import EntryRefused
from tune.track.environment import redact

NONFINITE_TAG = "tune.nonfinite/"

_NAME = re.compile(r"[\w.: /-]+")
_LONGEST_NAME = 200  # MLflow's limit is 250, and a tag may put a prefix before a metric's name
_LONGEST_VALUE = 6000  # MLflow cuts params there without a word


class RunStatus(StrEnum):
    """How far a run got."""

    running = "running"
    finished = "finished"
    failed = "failed"
    killed = "killed"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A run as it was recorded."""

    run_id: str
    name: str
    status: RunStatus
    params: dict[str, str]
    metrics: dict[str, float]
    """The last value of each metric."""

    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class Point:
    """One number of a run."""

    name: str
    value: float
    step: int | None
    at_ms: int
    """When it was measured, in milliseconds since 1970; two values of one metric never share a moment."""


class RunRecorder(ABC):
    """Writes one run. Everything is in the store (or, buffered, on disk: buffer.py) when a method returns.

    Names hold letters, digits, `_ . : - /` and spaces, at most 200 characters. Params, tags and
    texts are redacted; metrics are numbers, and files given to `artifact` are copied as they are.
    A value above 6000 characters goes whole into the artifact `long/<params or tags>/<name>.txt`, and its
    beginning with its digest stands in its place.

    Raises:
        EntryRefused: A name or a value is not allowed.
        TrackingError: The store cannot be written, or the run has been deleted from it.
    """

    run_id: str | None
    """The run in the store; None only while a buffered run waits for a store that is away."""

    def __init__(self, run_id: str | None, *, new: bool) -> None:
        self.run_id = run_id
        self._new = new  # a new run has no steps to read back
        self._last_ms = 0
        self._steps: dict[str, set[int]] = {}

    def params(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Record what the run was configured with. The same value again is fine.

        Raises:
            EntryRefused: A param has another value already; then none of `values` is recorded.
        """
        wanted = {name: self._storable("params", name, _as_text(value)) for name, value in values.items()}
        known = self._read_params()
        for name in wanted.keys() & known.keys():
            if wanted[name] != known[name]:
                msg = (
                    f"param {name} of run {self.run_id} is {known[name]} and cannot become {wanted[name]}: "
                    "a run keeps the configuration it began with. Record the other one as another trial."
                )
                raise EntryRefused(msg)
        if new := {name: value for name, value in wanted.items() if name not in known}:
            self._write_params(new)

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Record numbers, each at `step` or, without one, as the run's only and last value.

        A step that a metric already has is kept as it is, so a trial that resumes from a checkpoint draws
        no point twice. Without a step the last value counts. A metric is given always with a step or never.

        NaN and infinity are not recorded as metrics, where they would pass for numbers: the tag
        `tune.nonfinite/<name>` says what came and at which step.
        """
        finite: dict[str, float] = {}
        odd: dict[str, float] = {}
        for name, value in values.items():
            check_name(name)
            (finite if math.isfinite(value) else odd)[name] = float(value)
        where = "" if step is None else f" at step {step}"
        self.tags({f"{NONFINITE_TAG}{name}": f"{value}{where}" for name, value in odd.items()})
        at_ms = self._now_ms()
        self.points([Point(name, value, step, at_ms) for name, value in finite.items()])

    def points(self, points: Sequence[Point]) -> None:
        """Record finite numbers with the times they were measured at; a step that is there is left as it is.

        The same point again, at the same time, is the same point: nothing is drawn twice.
        """
        new = [point for point in points if point.step is None or point.step not in self._steps_of(point.name)]
        if new:
            self._write_points(new)
        for point in new:
            if point.step is not None:
                self._steps_of(point.name).add(point.step)

    def tags(self, values: Mapping[str, str]) -> None:
        """Record notes about the run; a tag given again is replaced."""
        if values:
            self._write_tags({name: self._storable("tags", name, value) for name, value in values.items()})

    def text(self, name: str, content: str) -> None:
        """Keep `content` as the artifact `name`, for example `config.yaml`; given again, it is replaced."""
        _check_inside(name)
        self._write_text(name, redact(content))

    def artifact(self, path: Path, *, folder: str | None = None) -> None:
        """Keep a copy of a file or folder under its own name, inside `folder` of the run's artifacts.

        Files of the same name are replaced; others that were there stay.

        Raises:
            EntryRefused: There is nothing at `path`.
        """
        if not path.exists():
            msg = f"cannot keep {path} with run {self.run_id}: there is no such file or folder."
            raise EntryRefused(msg)
        if folder is not None:
            _check_inside(folder)
        self._write_artifact(path, folder=folder)

    @abstractmethod
    def finish(self, status: RunStatus, *, at_ms: int | None = None) -> None:
        """Mark the run as ended, now or `at_ms`. Given again, the last status counts.

        An end before that of a run which has ended since, told late, changes nothing.
        """

    @abstractmethod
    def reopen(self) -> None:
        """Mark the run as running again, for one that is continued."""

    def _storable(self, kind: str, name: str, value: str) -> str:
        """Return what stands in the record for `value`, which is kept whole elsewhere if it is too long."""
        check_name(name)
        clean = redact(value)
        if len(clean) <= _LONGEST_VALUE:
            return clean
        digest = hashlib.sha256(clean.encode()).hexdigest()[:16]
        whole = f"long/{kind}/{name}.txt"
        self.text(whole, clean)
        return f"{clean[:200]}… ({len(clean)} characters, sha256 {digest}, whole in {whole})"

    def _now_ms(self) -> int:
        self._last_ms = now_ms(after=self._last_ms)
        return self._last_ms

    def _steps_of(self, name: str) -> set[int]:
        if name not in self._steps:
            self._steps[name] = set() if self._new else self._read_steps(name)
        return self._steps[name]

    @abstractmethod
    def _read_params(self) -> dict[str, str]: ...

    @abstractmethod
    def _read_steps(self, name: str) -> set[int]: ...

    @abstractmethod
    def _write_params(self, values: dict[str, str]) -> None: ...

    @abstractmethod
    def _write_points(self, points: list[Point]) -> None: ...

    @abstractmethod
    def _write_tags(self, values: dict[str, str]) -> None: ...

    @abstractmethod
    def _write_text(self, name: str, content: str) -> None: ...

    @abstractmethod
    def _write_artifact(self, path: Path, *, folder: str | None) -> None: ...


def now_ms(*, after: int) -> int:
    """Return the time in milliseconds since 1970, and later than `after`.

    Of two values of one metric in one millisecond MLflow takes the larger for the last one, so none share a time.
    """
    return max(time.time_ns() // 1_000_000, after + 1)


def _as_text(value: str | float | bool) -> str:
    """Return a param as a configuration file writes it: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_name(name: str) -> None:
    """Refuse a name that some store cannot keep.

    Raises:
        EntryRefused: It is too long, or holds what is not allowed.
    """
    plain = _NAME.fullmatch(name) and posixpath.normpath(name) == name and not name.startswith(("/", "."))
    if not plain or name.startswith("mlflow.") or len(name) > _LONGEST_NAME + len(NONFINITE_TAG):
        msg = (
            f"cannot record under the name {name[:_LONGEST_NAME]!r}: allowed are at most {_LONGEST_NAME} letters, "
            "digits, spaces and _ . : - with single / between parts, not beginning with . or mlflow. Rename it."
        )
        raise EntryRefused(msg)


def _check_inside(name: str) -> None:
    """Refuse an artifact's name that leads out of the run's folder."""
    if posixpath.normpath(name) != name or name.startswith(("/", ".")) or "\\" in name:
        msg = (
            f"cannot keep an artifact as {name!r}: name a path inside the run, such as config.yaml or scores/task.json."
        )
        raise EntryRefused(msg)
