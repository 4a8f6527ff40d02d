"""Every error is an end of one kind; the errors are what libraries really raise."""

import errno

import pytest
import torch

from tune.errors import AssetError, DataError, Diverged, TrackingError
from tune.trial.failure import failure
from tune.trial.outcome import State


def raised(action) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
        action()
    return caught.value


def too_much_for_torch() -> None:
    torch.empty(2**50)


def too_much_for_python() -> None:
    bytearray(2**60)


def wrapped(error: BaseException) -> None:
    msg = "the record failed"
    raise TrackingError(msg) from error


@pytest.mark.parametrize("action", [too_much_for_torch, too_much_for_python])
def test_memory_that_runs_out_is_infeasible(action) -> None:
    outcome = failure(raised(action))

    assert (outcome.state, outcome.reason) == (State.infeasible, "oom")
    assert outcome.message.startswith("memory ran out")


def test_memory_of_a_gpu_too() -> None:
    outcome = failure(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))

    assert (outcome.state, outcome.reason) == (State.infeasible, "oom")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Diverged("loss nan"), "diverged"),
        (DataError("no rows"), "data"),
        (AssetError("no model"), "setup"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (ZeroDivisionError("division by zero"), "bug"),
    ],
)
def test_a_failure_has_one_word(error: BaseException, reason: str) -> None:
    outcome = failure(error)

    assert (outcome.state, outcome.reason) == (State.failed, reason)
    assert str(error) in outcome.message


def test_what_lies_beneath_counts_and_not_what_it_was_wrapped_in() -> None:
    assert failure(raised(lambda: wrapped(OSError(errno.ENOSPC, "No space left on device")))).reason == "disk"
    assert failure(raised(lambda: wrapped(MemoryError()))).reason == "oom"
    assert failure(raised(lambda: wrapped(ValueError("locked")))).reason == "setup"


def test_the_traceback_of_a_bug_is_kept_for_who_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    failure(raised([].pop))

    assert "pop from empty list" in capsys.readouterr().err
