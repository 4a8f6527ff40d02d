"""The contract of the record: one run for a study, one child run for each of its trials."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from tune.track.environment import redact
from tune.track.recorder import RunRecord, RunRecorder, check_name

STUDY_TAG = "tune.study"
KIND_TAG = "tune.kind"
KEY_TAG = "tune.key"
STUDY_KIND = "study"
TRIAL_KIND = "trial"


class RunStore(ABC):
    """Where runs are recorded. `prepare` comes first; then any number of processes may write at once.

    Raises:
        StoreAway: It is a server that does not answer just now.
        TrackingError: The store cannot be read or written; the text says what to do.
    """

    @abstractmethod
    def prepare(self) -> None:
        """Make the store ready to be written. Any number of processes may call it at once, and again."""

    def study_run(self, name: str, *, tags: Mapping[str, str]) -> RunRecorder:
        """Return the run of the study `name`: the one it already has, running again, or a new one."""
        name = redact(name)
        own = {STUDY_TAG: name, KIND_TAG: STUDY_KIND}
        found = self._find_study(name)
        if found is None:
            recorder = self._create(name, parent=None, tags=own)
        else:
            recorder = self.open(found)
            recorder.reopen()
        recorder.tags({**tags, **own})
        return recorder

    def trial_run(
        self,
        *,
        name: str,
        study_run_id: str | None,
        tags: Mapping[str, str],
        key: str | None = None,
        at_ms: int | None = None,
    ) -> RunRecorder:
        """Return a running run, as a child of the study's run or, with None, on its own.

        Args:
            name: What it is listed under.
            study_run_id: Its parent.
            tags: Notes about it.
            key: Unique to the run, as its tag `tune.key`; where a run has it, that one is returned as it stands.
            at_ms: When it began, in milliseconds since 1970; None for now.
        """
        own = {KIND_TAG: TRIAL_KIND} | ({KEY_TAG: key} if key else {})
        found = self.find(key) if key else None
        if found is None:
            recorder = self._create(redact(name), parent=study_run_id, tags=own, at_ms=at_ms)
        else:
            recorder = self.open(found)
        recorder.tags({**tags, **own})
        return recorder

    def find(self, key: str) -> str | None:
        """Return the id of the run made with this key, or None.

        Raises:
            EntryRefused: The key is not allowed, see `check_name`.
        """
        check_name(key)
        return self._find_key(key)

    @abstractmethod
    def open(self, run_id: str) -> RunRecorder:
        """Return a recorder that goes on with a run, whose status stays as it is.

        Raises:
            TrackingError: There is no such run, or it has been deleted.
        """

    @abstractmethod
    def read(self, run_id: str) -> RunRecord | None:
        """Return a run as it was recorded; None where there is none of this id, or it was deleted."""

    @abstractmethod
    def unfinished(self, study_run_id: str) -> list[str]:
        """Return the ids of the study's children that are still running, or were when their process died."""

    @abstractmethod
    def children(self, study_run_id: str) -> list[RunRecord]:
        """Return the study's children, oldest first; an unknown study has none."""

    @abstractmethod
    def _find_study(self, name: str) -> str | None:
        """Return the id of the oldest run of kind study whose tag `tune.study` is `name`."""

    @abstractmethod
    def _find_key(self, key: str) -> str | None:
        """Return the id of the oldest run whose tag `tune.key` is `key`."""

    @abstractmethod
    def _create(self, name: str, *, parent: str | None, tags: dict[str, str], at_ms: int | None = None) -> RunRecorder:
        """Begin a run that carries `tags` from its first moment, so that no kill leaves one nobody finds."""
