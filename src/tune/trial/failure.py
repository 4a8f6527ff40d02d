"""Which kind of end an error is, in one word: the study retries, counts and explains by it."""

import errno
import sys
import traceback
from collections.abc import Iterator

from tune.disk import is_disk_full
from tune.errors import DataError, Pruned, TrialError, TuneError
from tune.track.environment import redact
from tune.trial.outcome import Outcome, State

_MEMORY_WORDS = ("can't allocate memory", "out of memory", "bad_alloc", "ALLOC_FAILED", "Cannot allocate memory")


def failure(error: BaseException) -> Outcome:
    """Return how an error ended the trial, in words without secrets; the traceback of a bug goes to standard error."""
    message = redact(str(error).strip()) or type(error).__name__
    if isinstance(error, TrialError):
        return _pruned(error, message) if isinstance(error, Pruned) else failed(error.reason, message)
    if is_disk_full(error):
        return failed("disk", f"the disk is full: {_last_line(message)}")
    if is_out_of_memory(error):
        return Outcome(state=State.infeasible, reason="oom", message=f"memory ran out: {_last_line(message)}")
    if isinstance(error, DataError):
        return failed("data", message)
    if isinstance(error, TuneError):
        return failed("setup", message)
    sys.stderr.write(redact("".join(traceback.format_exception(error))))
    return failed("bug", f"{type(error).__name__}: {message}")


def failed(reason: str, message: str) -> Outcome:
    """Return the outcome of a trial that failed."""
    return Outcome(state=State.failed, reason=reason, message=message)


def _pruned(error: Pruned, message: str) -> Outcome:
    last = {"eval/step_loss": error.loss}
    return Outcome(state=State.pruned, reason=error.reason, message=message, metrics=last, pruned_step=error.step)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or what caused it, says that memory ran out, on the processor's side or the GPU's."""
    return any(
        isinstance(cause, MemoryError)
        or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM)
        or (isinstance(cause, RuntimeError) and any(words in str(cause) for words in _MEMORY_WORDS))
        for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _last_line(message: str) -> str:
    return message.splitlines()[-1] if message else ""
