"""A worker that is asked to stop while it makes its trial's run leaves no run open that nobody knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.study_process import CELLS, attempts_at, kill_all, runs_of, tune


@pytest.fixture(autouse=True)
def _nobody_left() -> Iterator[None]:
    yield
    kill_all()


def test_a_run_that_was_just_made_is_ended_by_who_made_it(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    # A study with trials in its queue that nobody runs: three workers die in their claims, and then it is given up.
    tune(*CELLS, folder=runs, TUNE_FAILPOINT="claim: asked")

    worker = tune("worker", "cells", folder=runs, TUNE_FAILPOINT="run: made=ask")

    assert worker.returncode == 130, worker.stderr
    ((trial, run),) = runs_of("cells", runs).items()
    assert run.status == "killed"
    last = attempts_at("cells", runs, int(trial))[-1]
    assert last["state"] == "WAITING"
    assert last["run_id"] == run.run_id
