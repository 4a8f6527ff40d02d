"""Signs of life of a worker: that it is there, that its trial is still its own, and that its supervisor is."""

import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Self

from tune.config.workers import WorkersConfig
from tune.errors import Lost
from tune.study.attempts import beat
from tune.study.database import is_away

SUPERVISOR = "TUNE_SUPERVISOR"
"""Environment variable with the process id of the supervisor that a worker must not outlive."""

_LOOK_S = 0.5
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LAST_WORDS_S = 3.0
"""How long a worker whose supervisor died may take to put its trial back; then it is ended."""


class Heart:
    """Beats for one attempt from a thread of its own, until it is stopped; ends a trial that takes too long.

    Args:
        study: Optuna's study.
        trial: The attempt.
        limits: How often it beats, and how long a trial may take.
        on_timeout: Records that it took too long; returns False where the trial had ended already. Else the process
            ends after it: a trial that hangs hears nothing.
    """

    def __init__(self, study: Any, trial: Any, *, limits: WorkersConfig, on_timeout: Callable[[], bool]) -> None:
        self._study = study
        self._trial = trial
        self._limits = limits
        self._on_timeout = on_timeout
        self._began = time.monotonic()
        self._confirmed = time.time()  # goes on while the machine sleeps, as the others' clocks do
        self._lost_since = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heart", daemon=True)

    @property
    def lost(self) -> bool:
        """Return whether the attempt was ended by somebody else, who took this worker for dead."""
        return self._lost_since > 0

    def confirm(self, give_up: Callable[[], bool]) -> None:
        """Return when the attempt is surely still this worker's.

        A process that was frozen for longer than its grace does not know what the others did meanwhile, and must ask
        before it writes anything. While the database is away it waits.

        Raises:
            Lost: Somebody else ended the attempt.
        """
        while not self.lost and time.time() - self._confirmed > self._limits.grace_s and not give_up():
            self._beat()
            if not self.lost and time.time() - self._confirmed > self._limits.grace_s:
                self._done.wait(_LOOK_S)
        if self.lost:
            msg = "somebody took this worker for dead and ended the trial; it is left to them."
            raise Lost(msg)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _live(self) -> None:
        beaten = time.monotonic()
        every_s = self._limits.heartbeat_s
        while not self._done.wait(min(_LOOK_S, every_s)):
            now = time.monotonic()
            if self._limits.timeout_s is not None and now - self._began > self._limits.timeout_s:
                self._time_is_up()
                return
            if self.lost and now - self._lost_since > self._limits.grace_s:
                _end_process()  # it hangs, and would hold its memory for nothing
            if not self.lost and now - beaten >= every_s:
                beaten = now
                self._beat()

    def restart(self) -> None:
        """Let the trial's time begin now."""
        self._began = time.monotonic()

    def _time_is_up(self) -> None:
        was_ours = True
        try:
            was_ours = self._on_timeout()
        finally:
            if was_ours:  # else it ended a moment ago, and is about to say so
                _end_process()

    def _beat(self) -> None:
        from optuna.trial import TrialState

        asked = time.time()
        try:
            beat(self._study, self._trial)
            state = self._study.get_trials(deepcopy=False)[self._trial.number].state
        except Exception as error:  # noqa: BLE001 - whatever it is, the trial goes on and the next beat may do better
            if not is_away(error):  # away for a moment: the grace is many beats long
                traceback.print_exception(error)
            return
        if state is TrialState.RUNNING:
            self._confirmed = asked
        elif not self._done.is_set():
            self._lost_since = time.monotonic()


def die_with_supervisor() -> None:
    """Watch the supervisor that started this process, if one did; when it is gone, stop, and after a moment die."""
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor is None:
        return
    _wake_at_its_death()

    def watch() -> None:
        still = threading.Event()
        while os.getppid() == int(supervisor):
            still.wait(_LOOK_S)
        os.kill(os.getpid(), signal.SIGTERM)
        still.wait(_LAST_WORDS_S)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()


def _wake_at_its_death() -> None:
    """Let Linux send SIGCONT when the supervisor dies: a worker that is frozen then could not look."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def _end_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
