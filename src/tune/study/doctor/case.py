"""What the doctor looks at, and what it says of it.

Each kind of finding is one function of a `Case`. It only looks; what it returns may know how to mend itself. The study
may be running meanwhile: a trial that somebody runs is theirs, and is looked at again before anything is changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import filterfalse
from typing import Any

from tune.config.schema import Config
from tune.files import read_json
from tune.study.attempts import rejected, root, superseded
from tune.study.lock import study_lock
from tune.study.storage import StudyFolder
from tune.track.store import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that is not as it must be."""

    what: str
    """A sentence without its full stop; the same as long as it is found."""

    fix: Callable[[], object] | None = None
    """Mends it; None where a person must."""

    advice: str = ""
    """What `fix` does, or what a person can do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One study, in all three places."""

    study: Any
    """Optuna's."""

    config: Config
    store: RunStore
    folder: StudyFolder

    def attempts(self) -> dict[int, list[Any]]:
        """Return the attempts at each trial, oldest first, without those that were rejected and never run."""
        found: dict[int, list[Any]] = {}
        for trial in filterfalse(rejected, self.study.get_trials(deepcopy=False)):
            found.setdefault(root(trial), []).append(trial)
        return found

    def last(self) -> dict[int, Any]:
        """Return the last attempt at each trial."""
        return {number: tries[-1] for number, tries in self.attempts().items()}

    def idle(self) -> dict[int, Any]:
        """Return the last attempts at those trials that nobody runs, that want no follower and have no rival.

        Of two attempts that both count, only a person can say whose the run and the files are.
        """
        alone = {number: tries for number, tries in self.attempts().items() if sum(map(_counts, tries)) == 1}
        return {number: tries[-1] for number, tries in alone.items() if is_idle(tries[-1])}

    def while_idle(self, number: int, action: Callable[[], object]) -> None:
        """Do something to a trial, unless somebody has begun to run it; nobody can begin meanwhile."""
        with study_lock(self.study):
            if number in self.idle():
                action()

    def run_id(self, trial: Any) -> str | None:
        """Return the MLflow run of a trial: as the storage has it, else as its journal does.

        A server that was away when the trial began could not give an id that the storage could keep.
        """
        known = trial.user_attrs.get("run_id") or self._journal(trial).get("run_id")
        return str(known) if known else None

    def _journal(self, trial: Any) -> Mapping[str, object]:
        return read_json(self.folder.trial(root(trial)) / "run.json") or {}


def _counts(trial: Any) -> bool:
    return not superseded(trial)


def is_idle(trial: Any) -> bool:
    """Return whether a trial, by its last attempt, is run by nobody: it has ended, or waits."""
    return trial.state.name != "RUNNING" and not superseded(trial)


def has_ended(trial: Any) -> bool:
    """Return whether a trial, by its last attempt, has ended for good."""
    return bool(trial.state.is_finished()) and not superseded(trial)
