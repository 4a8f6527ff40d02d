"""Places where a process may be made to die, so that tests can show what is left behind. Nothing happens otherwise."""

import os
import signal

VARIABLE = "TUNE_FAILPOINT"
"""Environment variable that names the place where the process kills itself."""

PLACES = ("claim: asked", "claim: signed", "end: noted", "end: ended", "mend: followed", "checkpoint: filled")


def reach(place: str) -> None:
    """Die here, without a last word, if that was asked for."""
    assert place in PLACES, place
    if os.environ.get(VARIABLE) == place:
        os.kill(os.getpid(), signal.SIGKILL)
