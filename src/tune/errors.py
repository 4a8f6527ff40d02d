"""Everything that can go wrong on purpose, as one tree.

    TuneError                 the user can do something about it: one paragraph, no traceback, exit code 2
    ├── ConfigError           a key, a value or a combination that is not allowed
    ├── DataError             a data file that is missing, broken or unusable
    ├── AssetError            a model or tokenizer that cannot be had
    ├── StudyError            a study that cannot be started, continued or found
    ├── EvaluationError       scores that cannot be compared
    └── TrackingError         the record of runs cannot be written or read
        ├── StoreAway         the tracking server does not answer just now; the same again later may go well
        └── EntryRefused      this one entry can never be recorded; the run takes others
    TrialError                a trial ended without a result; the study goes on
    ├── Diverged              loss, gradient or evaluation became NaN or infinite
    ├── Pruned                its validation loss on the way was bad
    ├── NothingLearned        every B of the adapter is zero
    └── Lost                  somebody else ended the trial, taking its worker for dead
    Interrupted               somebody asked the process to stop; like KeyboardInterrupt, no `except Exception` holds it

Anything else that is raised is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class TuneError(Exception):
    """A mistake or a lack that the user can mend; its text says how."""


class ConfigError(TuneError):
    """A key, a value or a combination of the configuration is not allowed."""


class DataError(TuneError):
    """A data file is missing, broken, or holds nothing to train on."""


class AssetError(TuneError):
    """A model or tokenizer cannot be found, fetched or trusted."""


class StudyError(TuneError):
    """A study cannot be started, continued or found."""


class EvaluationError(TuneError):
    """Scores are missing or cannot be compared with each other."""


class TrackingError(TuneError):
    """The record of runs cannot be written or read."""


class StoreAway(TrackingError):  # noqa: N818 - a state of the store, not a mistake
    """The tracking server cannot be reached, or answers that it is not ready."""


class EntryRefused(TrackingError):  # noqa: N818
    """One entry cannot be recorded, now or later; what else is recorded of the run is not touched by it."""


class TrialError(Exception):
    """A trial ended without a result; `reason` is the word that the study records."""

    reason = "bug"


class Diverged(TrialError):  # noqa: N818 - an end of a trial, named as the field names it
    """Loss, gradient norm or an evaluation became NaN or infinite."""

    reason = "diverged"


class NothingLearned(TrialError):  # noqa: N818
    """Every B is zero, so the adapter changes nothing: no optimizer step reached it."""

    reason = "nothing_learned"


class Pruned(TrialError):  # noqa: N818
    """The study's pruner stopped the trial, by its validation loss on the way."""

    reason = "pruned"

    def __init__(self, *, step: int, loss: float) -> None:
        super().__init__(f"it was stopped after step {step}, at a validation loss of {loss:.4g}.")
        self.step = step
        self.loss = loss


class Lost(TrialError):  # noqa: N818
    """The trial was ended by somebody who took this worker for dead; its result does not count."""

    reason = "lost"


class Interrupted(BaseException):
    """The process was asked to stop (Ctrl-C or SIGTERM).

    Libraries catch `Exception`, wrap it and go on; a request to stop must pass them.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """Return what to print after an unknown word: the closest known ones, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else f"There is: {', '.join(names)}."
