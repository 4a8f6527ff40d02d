"""Places where a process may be made to die or to hang, so that tests can show what is left behind.

Nothing happens unless the environment asks for it: `TUNE_FAILPOINT="claim: asked"` kills the process there,
`TUNE_FAILPOINT="trial: started=hang"` lets it sleep, `…=stop` stops it, `…=ask` asks it to stop, and `…@FILE` lets the
first process alone that comes by act, which makes the file.
"""

import os
import signal
import time
from pathlib import Path

VARIABLE = "TUNE_FAILPOINT"
"""Environment variable that names the place, what happens there, and the file of the first who came by."""

PLACES = (
    *("claim: asked", "claim: signed"),
    *("end: noted", "end: ended", "mend: followed"),
    *("run: made", "trial: started", "checkpoint: filled"),
)
_HANG_S = 3600
_SIGNALS = {"stop": signal.SIGSTOP, "ask": signal.SIGTERM}


def reach(place: str) -> None:
    """Die here without a last word, or hang, stand still or be asked to stop, if that was asked for."""
    assert place in PLACES, place
    wanted, _, file = os.environ.get(VARIABLE, "").partition("@")
    name, _, action = wanted.partition("=")
    if name != place or (file and not _is_first(Path(file))):
        return
    if action == "hang":
        time.sleep(_HANG_S)
        return
    os.kill(os.getpid(), _SIGNALS.get(action, signal.SIGKILL))


def _is_first(file: Path) -> bool:
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
