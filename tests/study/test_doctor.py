"""Every kind of finding, made by real writes to real databases and files: found, mended, and then found no more."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest

from tests.study.ward import (
    ELSEWHERE,
    METRICS,
    NOBODY,
    Away,
    Ward,
    adapter,
    checkpoint,
    leave_lines,
    new_ward,
)
from tune.files import write_json
from tune.study.attempts import end
from tune.study.claim import claim
from tune.study.doctor.examine import examine
from tune.study.doctor.runs import wrong_statuses
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunStatus
from tune.track.upkeep import CheckupRecord, Fate
from tune.trial.outcome import Outcome, State

NAMES = count()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both databases, made once; each test has a study of its own in them."""
    return tmp_path_factory.mktemp("doctor") / "runs"


@pytest.fixture
def ward(runs: Path) -> Ward:
    return new_ward(runs, f"study{next(NAMES)}")


def look(ward: Ward) -> CheckupRecord:
    return examine(ward.case, fix=False)


def whats(checkup: CheckupRecord) -> list[str]:
    return [finding.what for finding in checkup.findings]


def mended(ward: Ward) -> list[str]:
    """Return what is found, after seeing that looking leaves it, that mending mends it, and for good."""
    before, fixed = look(ward), examine(ward.case, fix=True)
    assert {finding.fate for finding in before.findings} == {Fate.found}
    assert whats(fixed) == whats(before)
    assert {finding.fate for finding in fixed.findings} == {Fate.mended}
    assert examine(ward.case, fix=True).findings == ()
    return whats(before)


def stays(ward: Ward) -> list[tuple[str, str]]:
    """Return what is found and why it stays, after seeing that it does."""
    fixed, after = examine(ward.case, fix=True), look(ward)
    assert {finding.fate for finding in fixed.findings} == {Fate.stays}
    assert after.findings == fixed.findings
    return [(finding.what, finding.advice) for finding in after.findings]


def tell(ward: Ward, number: int, **attrs: object) -> None:
    """Write to the storage what no command writes."""
    study = ward.case.study
    for name, value in attrs.items():
        study._storage.set_trial_user_attr(ward.trials[number]._trial_id, name, value)


def test_a_study_that_went_well_has_nothing_to_mend(ward: Ward) -> None:
    ward.complete()
    ward.fail("diverged")

    checkup = look(ward)

    assert (checkup.findings, checkup.notes, checkup.n_trials) == ((), (), 2)


def test_what_a_living_worker_owns_is_no_finding(ward: Ward) -> None:
    claimed, recorder = ward.start()
    folder = ward.folder(claimed.root)
    (folder / "checkpoints" / ".step-00000004.writing").mkdir(parents=True)
    (checkpoint(folder) / "adapter.safetensors").write_bytes(b"")
    (folder / ".progress.json.4194999").write_text("{")
    recorder.metrics({"task/score": 0.25})
    ward.case.store.open(ward.case.study.user_attrs["run_id"]).reopen()

    assert look(ward).findings == ()
    assert examine(ward.case, fix=True).findings == ()
    assert ward.run(claimed.root).status is RunStatus.running
    assert ward.parent().status is RunStatus.running


def test_an_attempt_whose_worker_is_gone_ends_as_lost_and_waits_again(ward: Ward) -> None:
    ward.start(NOBODY)

    assert mended(ward) == ["trial 0 is running as attempt 1, but by nobody"]

    first, _, follower = ward.trials
    assert (first.user_attrs["reason"], follower.state.name) == ("lost", "WAITING")
    assert ward.run(0).status is RunStatus.killed


def test_an_attempt_that_never_gave_a_sign_of_life_is_nobodys(ward: Ward) -> None:
    ward.case.study.ask()

    assert mended(ward) == ["trial 0 is running as attempt 1, but by nobody"]


def test_a_worker_elsewhere_is_dead_after_its_grace_alone(ward: Ward) -> None:
    ward.start(ELSEWHERE)
    assert look(ward).findings == ()

    with sqlite3.connect(ward.runs / "optuna.db") as database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = '2026-01-01 00:00:00'")

    assert mended(ward) == ["trial 0 is running as attempt 1, but by nobody"]


def test_a_follower_that_nobody_made_is_made_once(ward: Ward) -> None:
    claimed, recorder = ward.start()
    tell(ward, claimed.number, again=True, reason="lost")
    ward.case.study.tell(claimed.number, state=optuna.trial.TrialState.FAIL)
    recorder.finish(RunStatus.failed)
    recorder.close(5)

    assert mended(ward) == ["attempt 1 at trial 0 failed, was to be followed by another, and was not"]
    assert [trial.user_attrs.get("retry_of") for trial in ward.trials] == [None, None, 0]


def test_two_attempts_that_count_are_said_and_left_alone(ward: Ward) -> None:
    ward.complete()
    ward.case.study.enqueue_trial({"lora.rank": 2}, user_attrs={"root": 0, "attempt": 2})

    ((what, advice),) = [found for found in stays(ward) if "attempts" in found[0]]

    assert what == "trial 0 has 2 attempts that count (0, 2)"
    assert "look at each" in advice


def test_two_followers_of_one_attempt_are_said(ward: Ward) -> None:
    ward.fail("interrupted")
    ward.case.study.enqueue_trial({"lora.rank": 2}, user_attrs={"root": 0, "attempt": 2, "retry_of": 0})

    ((what, _),) = stays(ward)

    assert what == "trial 0 has 2 attempts that count (2, 3), and 2 that follow 0"


@pytest.mark.parametrize("told", [RunStatus.running, RunStatus.failed, RunStatus.killed])
def test_a_run_that_says_less_than_its_complete_trial(ward: Ward, told: RunStatus) -> None:
    ward.complete()
    say(ward, 0, told)

    assert mended(ward) == [f"trial 0 is complete, but its MLflow run says {told.name.upper()}"]
    assert ward.run(0).status is RunStatus.finished


@pytest.mark.parametrize("told", [RunStatus.running, RunStatus.finished])
def test_a_run_that_hides_a_failure(ward: Ward, told: RunStatus) -> None:
    ward.fail("bug")
    say(ward, 0, told)

    assert mended(ward) == [f"trial 0 is failed, but its MLflow run says {told.name.upper()}"]
    assert ward.run(0).status is RunStatus.failed
    assert ward.run(0).tags["tune.reason"] == "bug"


def test_a_run_that_goes_on_while_its_trial_waits(ward: Ward) -> None:
    ward.fail("interrupted")
    say(ward, 0, RunStatus.running)

    assert mended(ward) == ["trial 0 is waiting, but its MLflow run says RUNNING"]
    assert ward.run(0).status is RunStatus.killed


def test_a_trial_that_somebody_has_claimed_meanwhile_is_left_to_them(ward: Ward) -> None:
    ward.fail("interrupted")
    say(ward, 0, RunStatus.running)
    case = ward.case
    (finding,) = wrong_statuses(case)
    ward.start()  # trial 1
    claimed, _ = ward.start()
    assert (claimed.root, claimed.attempt) == (0, 2)
    assert finding.fix is not None
    finding.fix()

    assert ward.run(0).status is RunStatus.running


def test_a_deleted_run_is_said_with_the_command_that_restores_it(ward: Ward) -> None:
    ward.complete()
    run_id = ward.run(0).run_id
    store = ward.case.store
    assert isinstance(store, MlflowStore)
    store.call("delete_run", run_id)

    ((what, advice),) = stays(ward)

    assert what == f"trial 0: its MLflow run {run_id} is not there"
    assert "restore --run-id ID" in advice


def test_a_run_that_never_was_is_said(ward: Ward) -> None:
    claimed, recorder = ward.start()
    tell(ward, claimed.number, run_id="0" * 32)
    ward.case.store.open(recorder.run_id).finish(RunStatus.failed)
    end_complete(ward, claimed)

    assert f"trial 0: its MLflow run {'0' * 32} is not there" in [what for what, _ in stays(ward)]


def test_a_complete_trial_without_a_run_is_said_with_its_command(ward: Ward) -> None:
    case = ward.case

    claimed = claim(case.study, case.config, parse_space(case.config), worker=sign())
    assert claimed is not None
    end_complete(ward, claimed)

    found = dict(stays(ward))

    assert "python -m tune model.embedded=tiny" in found["trial 0 is complete and has no MLflow run"]


def test_a_running_run_of_no_trial_is_ended_and_then_only_noted(ward: Ward) -> None:
    case = ward.case
    stray = case.store.trial_run(
        name="stray", study_run_id=case.study.user_attrs["run_id"], tags={"tune.trial": "9"}
    ).run_id

    assert mended(ward) == [f"the MLflow run stray ({stray}) is RUNNING and belongs to no trial"]

    record = case.store.read(stray)
    assert record is not None
    assert record.status is RunStatus.killed
    assert [note for note in look(ward).notes if stray in note]


def test_a_run_of_another_databases_study_of_this_name_is_not_touched(ward: Ward) -> None:
    case = ward.case
    other = case.store.trial_run(
        name="theirs",
        study_run_id=case.study.user_attrs["run_id"],
        tags={"tune.trial": "9", "tune.key": "another/9"},
    )

    assert (look(ward).findings, look(ward).notes) == ((), ())
    record = case.store.read(other.run_id)
    assert record is not None
    assert record.status is RunStatus.running


def test_a_run_that_its_worker_has_yet_to_write_down_is_not_touched(ward: Ward) -> None:
    case = ward.case

    claim(case.study, case.config, parse_space(case.config), worker=sign())
    case.store.trial_run(name="new", study_run_id=case.study.user_attrs["run_id"], tags={"tune.trial": "0"})

    assert look(ward).findings == ()


def test_metrics_that_the_run_lacks_or_has_otherwise_are_written_again(ward: Ward) -> None:
    claimed, recorder = ward.start()
    recorder.metrics({"task/score": 0.125})
    recorder.finish(RunStatus.finished)
    recorder.close(5)
    end_complete(ward, claimed)

    (what,) = mended(ward)

    assert what.startswith("trial 0: 2 of its 2 metrics are not so in its MLflow run (first: cost/seconds is 3")
    assert {name: ward.run(0).metrics[name] for name in METRICS} == METRICS


def test_a_study_that_nobody_runs_is_not_running(ward: Ward) -> None:
    ward.case.store.open(ward.case.study.user_attrs["run_id"]).reopen()

    assert mended(ward) == ["the study's own MLflow run is RUNNING, but nobody runs the study"]
    assert ward.parent().status is RunStatus.killed


@pytest.mark.parametrize(("good", "status"), [(True, RunStatus.finished), (False, RunStatus.failed)])
def test_a_study_whose_trials_have_all_ended_says_so(ward: Ward, good: bool, status: RunStatus) -> None:
    ward.fail("bug")
    if good:
        ward.complete()
    else:
        ward.fail("bug")
    ward.case.store.open(ward.case.study.user_attrs["run_id"]).reopen()

    mended(ward)

    assert ward.parent().status is status


def test_a_study_whose_supervisor_lives_is_left_to_it(ward: Ward) -> None:
    ward.case.store.open(ward.case.study.user_attrs["run_id"]).reopen()

    with ward.case.folder.lock("supervisor"):
        assert look(ward).findings == ()


def test_the_studys_own_run_is_missed(ward: Ward) -> None:
    store, run_id = ward.case.store, ward.case.study.user_attrs["run_id"]
    assert isinstance(store, MlflowStore)
    store.call("delete_run", run_id)

    ((what, advice),) = stays(ward)

    assert what == f"the study's own MLflow run {run_id} is not there"
    assert "restore" in advice


def test_lines_that_mlflow_lacks_are_sent(ward: Ward) -> None:
    ward.complete()
    leave_lines(ward, 0)

    (what,) = mended(ward)

    assert re.fullmatch(r"trial 0: \d lines of its journal are not in MLflow", what)
    assert ward.run(0).tags["tune.late"] == "yes"


def test_lines_stay_while_the_server_is_away(ward: Ward) -> None:
    ward.complete()
    leave_lines(ward, 0)

    checkup = examine(replace(ward.case, store=Away(ward.runs, "tune")), fix=True)

    lines, rest = checkup.findings
    assert (lines.fate, rest.fate) == (Fate.stays, Fate.stays)
    assert "lines of its journal" in lines.what
    assert "the server does not answer" in lines.advice
    assert rest.what == "MLflow could not be looked at to the end"


def damage(name: str) -> Callable[[Path], object]:
    return {
        "scores": lambda folder: (folder / "scores.json").unlink(),
        "adapter": lambda folder: shutil.rmtree(folder / "adapter"),
        "config": lambda folder: (folder / "adapter" / "adapter_config.json").unlink(),
        "weights": lambda folder: (folder / "adapter" / "adapter_model.safetensors").unlink(),
        "cut": lambda folder: cut(folder / "adapter" / "adapter_model.safetensors"),
    }[name]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("scores", "scores.json is not in"),
        ("adapter", "its adapter is not in"),
        ("config", "adapter_config.json is missing"),
        ("weights", "adapter_model.safetensors is missing"),
        ("cut", "adapter_model.safetensors cannot be read"),
    ],
)
def test_a_result_that_is_gone_is_said_with_the_command_that_repeats_it(ward: Ward, how: str, said: str) -> None:
    ward.complete()
    damage(how)(ward.folder(0))

    ((what, advice),) = stays(ward)

    assert "trial 0 is complete, but" in what
    assert said in what
    assert "python -m tune model.embedded=tiny" in advice


def test_a_result_of_another_machine_is_looked_for_there(ward: Ward) -> None:
    ward.complete(ELSEWHERE)
    shutil.rmtree(ward.folder(0))

    checkup = look(ward)

    assert checkup.findings == ()
    assert checkup.notes == ("adapter and scores of trial 0 are not on this disk; look for them on faraway",)


def test_checkpoints_of_a_complete_trial_go(ward: Ward) -> None:
    ward.complete()
    ward.fail("interrupted")
    old, needed = checkpoint(ward.folder(0)), checkpoint(ward.folder(1))

    assert mended(ward) == ["trial 0 is complete, its checkpoints are still there"]
    assert not old.parent.exists()
    assert needed.exists(), "a waiting trial goes on from it"


@pytest.mark.parametrize("how", ["cut", "no manifest", "a file is gone"])
def test_a_damaged_checkpoint_of_a_waiting_trial_goes(ward: Ward, how: str) -> None:
    ward.fail("interrupted")
    whole, broken = checkpoint(ward.folder(0), 4), checkpoint(ward.folder(0), 8)
    if how == "cut":
        cut(broken / "adapter.safetensors")
    else:
        (broken / ("manifest.json" if how == "no manifest" else "adapter.safetensors")).unlink()

    assert mended(ward) == ["trial 0 waits, its damaged checkpoints (step-00000008) are still there"]
    assert whole.exists()
    assert not broken.exists()


def test_half_written_files_go_unless_their_process_lives(ward: Ward) -> None:
    ward.fail("interrupted")
    folder = ward.folder(0)
    checkpoint(folder)
    rest = [
        folder / "checkpoints" / ".step-00000008.writing" / "x",
        folder / ".adapter.4194999.writing" / "x",
        folder / ".adapter.4194999.old" / "x",
    ]
    for file in rest:
        file.parent.mkdir()
        file.write_text("x")
    (folder / ".scores.json.4194999").write_text("{")
    living = folder / f".scores.json.{os.getpid()}"
    living.write_text("{")

    (what,) = mended(ward)

    assert "(.adapter.4194999.old, .adapter.4194999.writing, .scores.json.4194999, .step-00000008.writing)" in what
    assert not [file for file in rest if file.parent.exists()]
    assert living.exists()
    assert (folder / "progress.json").exists()


def test_a_folder_of_no_trial_is_said(ward: Ward) -> None:
    stranger = ward.folder(7)
    stranger.mkdir(parents=True)

    assert stays(ward) == [(f"the storage knows no trial of the folder {stranger}", "look into it, and move it away")]


def test_a_damaged_record_is_one_finding_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    ward = new_ward(tmp_path / "runs", "damaged")
    ward.complete()
    checkpoint(ward.folder(0))
    for beside in ward.runs.glob("mlflow.db-*"):
        beside.unlink()
    (ward.runs / "mlflow.db").write_text("no database\n" * 200)

    checkup = examine(Ward(ward.runs, ward.name).case, fix=True)

    mlflow, disk = checkup.findings
    assert (mlflow.fate, disk.fate) == (Fate.stays, Fate.mended)
    assert "mlflow.db cannot be read" in mlflow.advice


def tune(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tune", *words, f"track.folder={folder}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "TUNE_CACHE": str(folder.parent / "cache")},
    )


def test_a_study_that_was_killed_is_mended_once_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    small = ["data.n_train=400", "data.n_validation=4", "data.n_test=2", "data.max_new_tokens=8"]
    words = ["+sweep=smoke", *small, "workers.count=1", "workers.checkpoint_s=0", f"track.folder={folder}"]
    study = subprocess.Popen(
        [sys.executable, "-m", "tune", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TUNE_CACHE": str(tmp_path / "cache")},
    )
    try:
        progress, until = folder / "studies" / "smoke" / "trials" / "0000" / "progress.json", time.monotonic() + 200
        while not (progress.is_file() and '"train"' in progress.read_text()):
            assert time.monotonic() < until, "no trial began to train"
            time.sleep(0.05)
    finally:
        workers = psutil.Process(study.pid).children(recursive=True)
        for process in (psutil.Process(study.pid), *workers):
            process.kill()
        study.wait(timeout=30)
        psutil.wait_procs(workers, timeout=30)

    found, fixed, again = (tune("doctor", "smoke", *more, folder=folder) for more in ([], ["doctor.fix=true"], []))

    assert (found.returncode, fixed.returncode, again.returncode) == (1, 0, 0), found.stdout + fixed.stdout
    assert (
        "  found: trial 0 is running as attempt 1, but by nobody: its worker was gone; it ends as lost" in found.stdout
    )
    assert "  found: the study's own MLflow run is RUNNING, but nobody runs the study: it says KILLED." in found.stdout
    assert f"python -m tune doctor smoke doctor.fix=true track.folder={folder}" in found.stdout
    assert "  mended: trial 0 is running as attempt 1" in fixed.stdout
    assert re.search(r"smoke: (\d) findings, \1 mended", fixed.stdout)
    assert again.stdout == "smoke: nothing to mend: storage, MLflow and disk agree on 2 trials\n"

    done = tune(*words[:-1], folder=folder)
    last = tune("doctor", "smoke", folder=folder)

    assert done.returncode == 0, done.stderr
    assert "2 of 2 trials ended (2 complete)" in done.stdout
    assert (last.returncode, last.stdout) == (0, again.stdout)


@pytest.mark.parametrize(
    ("words", "said"), [(["doctor"], "needs the name of one study"), (["doctor", "x"], "no study")]
)
def test_a_doctor_without_a_study(tmp_path: Path, words: list[str], said: str) -> None:
    done = tune(*words, folder=tmp_path / "runs")

    assert done.returncode == 2
    assert said in done.stderr


def say(ward: Ward, number: int, status: RunStatus) -> None:
    run = ward.case.store.open(ward.run(number).run_id)
    if status is RunStatus.running:
        run.reopen()
    else:
        run.finish(status)


def end_complete(ward: Ward, claimed: Any) -> None:
    write_json(ward.folder(claimed.root) / "scores.json", {})
    adapter(ward.folder(claimed.root) / "adapter")
    end(ward.case.study, claimed.number, Outcome(state=State.complete, metrics=METRICS), value=0.5)


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
