"""Keeps workers at a study until it has ended, watches what they hold, and shows how far they are; no torch in it."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from filelock import Timeout

from tune.config.schema import Config
from tune.disk import is_disk_full
from tune.errors import StudyError
from tune.study.attempts import running, silent_s
from tune.study.budget import Clock
from tune.study.claim import STOPPING, enqueue_grid
from tune.study.crew import Crew, Member, how_it_ended
from tune.study.database import patiently, unless_away
from tune.study.machine import held_memory, memory_limit, n_workers
from tune.study.reaper import bury, reap_and_close
from tune.study.record import close_what_is_open, send_what_waits
from tune.study.storage import StudyFolder, snapshot
from tune.study.worker import check_room, disk_advice
from tune.track.records import ENDED, StudyRecord, TrialRecord
from tune.track.store import RunStore
from tune.trial.failure import failed
from tune.trial.outcome import Outcome, State

T = TypeVar("T")

_POLL_S = 0.5
_MOST_DEATHS = 3
"""Workers that may die one after another before they claim anything; then something is wrong with all of them."""
_ENDS_WELL = (0, 130)  # nothing left to do; asked to stop
_ASKED_TO = (130, 2, -signal.SIGTERM)  # asked to stop; the database or the disk went away
_LATE_S = 10.0
"""A trial that takes too long is ended by its worker; one that cannot even do that, by the supervisor after this."""


class Watcher(Protocol):
    """Is told what happens."""

    def ended(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Show a trial that has just ended."""

    def moved(self, study: StudyRecord) -> None:
        """Show what is going on."""


@contextmanager
def alone(folder: StudyFolder) -> Iterator[None]:
    """Be the one supervisor of a study on this machine; whoever comes second touches nothing of it.

    Raises:
        StudyError: There is one already.
    """
    try:
        with folder.lock("supervisor").acquire(timeout=0):
            yield
    except Timeout as error:
        msg = f"the study {folder.name} is being run by another process. Wait for it, or stop it first."
        raise StudyError(msg) from error


@dataclass(slots=True)
class Supervisor:
    """Runs one study to its end with workers on this machine."""

    study: Any
    config: Config
    runs: Path
    store: RunStore
    watcher: Watcher
    _crew: Crew = field(init=False)
    _clock: Clock = field(init=False)
    _deaths: int = 0
    _dead: list[tuple[Member, Outcome]] = field(default_factory=list)
    _began: float = field(default_factory=time.time)
    _swept: float = 0.0
    _looked: float = field(default_factory=time.time)
    _awake_since: float = 0.0

    def __post_init__(self) -> None:
        """Make the crew, without anybody in it."""
        log = self._folder.path / "workers.log"
        self._crew = Crew(study_name=self.study.study_name, config=self.config, runs=self.runs, log=log)

    def run(self) -> StudyRecord:
        """Return the study when all its trials have ended. To be called inside `alone`.

        Raises:
            KeyboardInterrupt: Somebody asked to stop; trials that ran are back in the queue.
            StudyError: Workers cannot be started, the database was away for too long, or the disk is full.
        """
        try:
            return self._run()
        except Exception as error:
            if isinstance(error, StudyError) or not is_disk_full(error):
                raise
            raise StudyError(disk_advice(self.runs, str(error).splitlines()[0])) from error

    @property
    def _folder(self) -> StudyFolder:
        return StudyFolder(runs=self.runs, name=self.study.study_name)

    def _run(self) -> StudyRecord:
        self._patiently(self._begin)
        begun = self._patiently(lambda: snapshot(self.study, self._folder))
        seen = {trial.number for trial in begun.trials if trial.state in ENDED}
        ended_before = {trial.number for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()}
        self._clock = Clock(self.study, self.config)
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            while True:
                now = self._patiently(lambda: snapshot(self.study, self._folder))
                for trial in now.trials:
                    if trial.state in ENDED and trial.number not in seen:
                        seen.add(trial.number)
                        self.watcher.ended(now, trial)
                self.watcher.moved(now)
                if self._patiently(self._clock.is_used) and now.done < now.n_trials:
                    self._patiently(lambda: self.study.set_user_attr(STOPPING, True))  # workers elsewhere start none
                    self._patiently(self._end_unbegun)
                    break
                going_on = self._patiently(lambda: self._look_after(now))  # noqa: B023
                if not going_on:
                    break
                self._patiently(lambda: self._clock.tell(every_s=self.config.workers.heartbeat_s))
                self._patiently(lambda: self._pause_if_full(ended_before))
                time.sleep(_POLL_S)
        finally:
            self._stop()
        return self._patiently(lambda: snapshot(self.study, self._folder))

    def _begin(self) -> None:
        self.study.set_user_attr(STOPPING, False)
        self._sweep()
        enqueue_grid(self.study, self.config)

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, limit_s=self.config.study.storage_wait_s)

    def _look_after(self, now: StudyRecord) -> bool:
        """Bury the dead, end what takes too much, keep up the number of workers; return whether anything goes on."""
        self._notice_sleep()
        self._dead += [(member, _how_it_ended(member)) for member in self._crew.take_dead()]
        self._end_frozen()  # first: one of them may hold the lock that all that follows waits for
        self._end_greedy()
        self._end_late()
        self._bury_dead()
        if time.monotonic() - self._swept > self.config.workers.heartbeat_s and not self._just_woke():
            self._sweep()
        n_left = now.n_trials - now.done - now.counts()["running"]
        self._looked = time.time()
        if self.study.user_attrs.get(STOPPING):
            return bool(self._crew.members)
        wanted = min(n_workers(self.config), n_left + len(self._crew.members))
        while len(self._crew.members) < wanted:
            self._crew.start()
        return bool(self._crew.members) or now.done < now.n_trials

    def _bury_dead(self) -> None:
        """End what dead workers ran; several that die without having run anything end the study.

        The database may go away in the middle, and then those who are left are buried the next time.
        """
        while self._dead:
            member, outcome = self._dead[0]
            n_ended = bury(self.study, member.signature, outcome, self.config, store=self.store, folder=self._folder)
            self._dead.pop(0)
            self._deaths = 0 if n_ended or member.process.returncode in _ENDS_WELL else self._deaths + 1
        if self._deaths >= _MOST_DEATHS:
            msg = (
                f"{self._deaths} workers died in a row before they ran anything. Their log, {self._crew.log}, ends: "
                f"{self._crew.last_words()}"
            )
            raise StudyError(msg)

    def _notice_sleep(self) -> None:
        """Give everybody time for a sign of life where none could be given or seen.

        So it is after a laptop was closed, and after the database was away.
        """
        if time.time() - self._looked > self.config.workers.heartbeat_s + _LATE_S:
            self._awake_since = time.time()

    def _just_woke(self) -> bool:
        return time.time() - self._awake_since < 2 * self.config.workers.heartbeat_s

    def _end_frozen(self) -> None:
        """End the workers of ours that do nothing any more, before they are waited for; others take their place."""
        grace_s = self.config.workers.grace_s
        if self._just_woke():
            return
        ages = silent_s(self.study)
        begun = {t.user_attrs.get("worker", ""): ages[t._trial_id] for t in running(self.study) if t._trial_id in ages}  # noqa: SLF001
        silent = {signature for signature, age in begun.items() if age > grace_s}
        if any(member.signature in begun for member in self._crew.members):
            self._deaths = 0  # whatever those died of, this one did not
        for member in self._crew.take_frozen(silent, grace_s=grace_s):
            self._dead.append((member, failed("lost", f"its worker gave no sign of life for {grace_s:g} s.")))

    def _end_greedy(self) -> None:
        """End the workers that hold more memory than they may; the machine is worth more than a trial."""
        limit = memory_limit(self.config)
        for member in list(self._crew.members):
            held = held_memory(member.process.pid)
            if held > limit:
                self._crew.kill(member)
                message = f"its worker held {held / 1024**3:.1f} GiB, and workers.memory_gib is {limit / 1024**3:.1f}."
                self._dead.append((member, Outcome(state=State.infeasible, reason="oom", message=message)))

    def _end_late(self) -> None:
        """End the workers whose trial takes too long and that did not end it themselves."""
        limit = self.config.workers.timeout_s
        if limit is None:
            return
        late = time.time() - limit - _LATE_S
        signatures = {
            t.user_attrs.get("worker") for t in running(self.study) if t.user_attrs.get("started", late) < late
        }
        for member in [member for member in self._crew.members if member.signature in signatures]:
            self._crew.kill(member)
            self._dead.append((member, failed("timeout", f"it took longer than workers.timeout_s={limit:g}.")))

    def _end_unbegun(self) -> None:
        """End at once the workers that still get ready: they would do so for seconds, and have nothing to put back."""
        ready = {t.user_attrs.get("worker") for t in running(self.study) if self._folder.has_begun(t)}
        claimed = {t.user_attrs.get("worker") for t in running(self.study)}
        for member in [member for member in self._crew.members if member.signature not in ready]:
            self._crew.kill(member)
            if member.signature in claimed:
                self._dead.append((member, failed("interrupted", "study.budget was used before it began.")))

    def _sweep(self, *, stopping: bool = False) -> None:
        """Look for attempts whose worker is gone, wherever it ran, and for records that wait to be sent.

        What began before this supervisor, or is found at its end, went with one: no trial is to blame for that.
        """
        self._swept = time.monotonic()
        before = math.inf if stopping else self._began
        reap_and_close(self.study, self.config, self.store, self._folder, interrupted_before=before)
        send_what_waits(self.study, self.store, self._folder)

    def _pause_if_full(self, ended_before: set[int]) -> None:
        """Stop where the disk is full: every further trial would fail of it."""
        check_room(self.runs, self.config)
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number not in ended_before and trial.user_attrs.get("reason") == "disk":
                raise StudyError(disk_advice(self.runs, trial.user_attrs["message"]))

    def _stop(self) -> None:
        self._crew.stop()
        with unless_away():
            self._clock.tell()
            self._bury_dead()
            self._sweep(stopping=True)
            close_what_is_open(self.study, self.store, self._folder)


def _how_it_ended(member: Member) -> Outcome:
    code = member.process.returncode
    if code in _ASKED_TO:  # it was on its way to put its trial back
        return failed("interrupted", f"{how_it_ended(code)}.")
    return failed("killed", f"{how_it_ended(code)}.")
