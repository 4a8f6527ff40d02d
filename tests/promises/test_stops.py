"""Asked to stop: by a scheduler that takes the machine away, and by a person at the keyboard."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.promises.study_process import (
    CELLS,
    LONGER,
    attempts_at,
    checkpoints,
    processes_of,
    record,
    runs_of,
    started,
    states,
    wait_for_training,
)


@pytest.mark.promise(3)
@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_and_a_trial_that_waits(runs: Path, evidence) -> None:
    study = started(*CELLS, LONGER, folder=runs)
    seen = wait_for_training(runs, study="cells", step=5)

    study.send_signal(signal.SIGTERM)
    _, said = study.communicate(timeout=60)

    assert study.returncode == 130, said
    (checkpoint,) = checkpoints("cells", runs, 0)
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    assert seen <= state["global_step"] < state["max_steps"] == 300
    assert [trial["state"] for trial in record("cells", runs)["trials"]] == ["waiting"] * 4
    assert [(attempt["state"], attempt.get("reason")) for attempt in attempts_at("cells", runs, 0)] == [
        ("FAIL", "interrupted"),
        ("WAITING", None),
    ]
    assert "COMPLETE" not in states(runs)["attempts"]
    assert runs_of("cells", runs)["0"].status == "killed"
    evidence(f"checkpoint at step {state['global_step']} of {state['max_steps']}; the trial waits")


@pytest.mark.promise(4)
@pytest.mark.slow
def test_ctrl_c_kills_the_runs_and_leaves_nobody_behind(runs: Path, evidence) -> None:
    study = started(*CELLS, LONGER, "workers.count=2", folder=runs)
    for trial in (0, 1):
        wait_for_training(runs, study="cells", trial=trial)

    os.killpg(study.pid, signal.SIGINT)
    _, said = study.communicate(timeout=60)

    assert study.returncode == 130, said
    assert "The same command goes on" in said
    assert processes_of(runs) == []
    found = states(runs)
    assert found["runs"] == ["KILLED"] * 3, "the study's run and those of two trials"
    assert sorted(found["attempts"]) == ["FAIL"] * 2 + ["WAITING"] * 4
    evidence(f"exit code {study.returncode}, runs {', '.join(found['runs'])}, no process left")
