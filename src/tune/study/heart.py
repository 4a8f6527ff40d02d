"""Signs of life of a worker: that it is there, that its trial is still its own, and that its supervisor is."""

import os
import signal
import threading
from typing import Any, Self

from tune.study.attempts import beat

SUPERVISOR = "TUNE_SUPERVISOR"
"""Environment variable with the process id of the supervisor that a worker must not outlive."""

_LOOK_S = 0.5
_LAST_WORDS_S = 3.0
"""How long a worker whose supervisor died may take to put its trial back; then it is ended."""


class Heart:
    """Beats for one attempt from a thread of its own, until it is stopped."""

    def __init__(self, study: Any, trial: Any, *, every_s: float) -> None:
        self._study = study
        self._trial = trial
        self._every_s = every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)
        self.lost = False
        """Whether the attempt was ended by somebody else, who took this worker for dead."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        from optuna.trial import TrialState
        from sqlalchemy.exc import SQLAlchemyError

        while not self._done.wait(self._every_s):
            try:
                beat(self._study, self._trial)
                state = self._study.get_trials(deepcopy=False)[self._trial.number].state
            except SQLAlchemyError:
                continue  # a database that is away for a moment; the grace is many beats long
            self.lost = state is not TrialState.RUNNING


def die_with_supervisor() -> None:
    """Watch the supervisor that started this process, if one did; when it is gone, stop, and after a moment die."""
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor is None:
        return

    def watch() -> None:
        still = threading.Event()
        while os.getppid() == int(supervisor):
            still.wait(_LOOK_S)
        os.kill(os.getpid(), signal.SIGTERM)
        still.wait(_LAST_WORDS_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
