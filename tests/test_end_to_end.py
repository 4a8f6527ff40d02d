"""The main job as its user does it: the command line, real processes, both databases."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tune.config import metrics
from tune.config.compose import compose
from tune.track.mlflow_store import MlflowStore

SMALL = ["data.n_train=16", "data.n_validation=4", "data.n_test=2", "data.max_new_tokens=8"]


def tune(*words: str, folder: Path, timeout: float = 200) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tune", *words, f"track.folder={folder}"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=environment(folder)
    )


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TUNE_CACHE": str(folder.parent / "cache")}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    folder = tmp_path_factory.mktemp("study") / "runs"
    done = tune("+sweep=smoke", *SMALL, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "Repeat the best trial" in done.stdout
    return folder


def test_a_study_ends_with_a_parent_and_a_child_run_a_trial(smoke: Path) -> None:
    record = json.loads(tune("report", "smoke", "report.format=json", folder=smoke).stdout)

    assert record["states"] == {"waiting": 0, "running": 0, "complete": 2, "pruned": 0, "failed": 0}
    runs = MlflowStore(smoke, "tune").children(record["run_id"])
    assert sorted(run.run_id for run in runs) == sorted(trial["run_id"] for trial in record["trials"])
    assert {run.status for run in runs} == {"finished"}
    assert [run.params["lora.rank"] for run in runs] in (["2", "4"], ["4", "2"])
    wanted = set(metrics.metric_names(compose(["+sweep=smoke"])))
    for run, trial in zip(sorted(runs, key=lambda run: run.name), record["trials"], strict=True):
        assert set(trial["metrics"]) == wanted
        assert wanted <= set(run.metrics)
        assert (smoke / "studies" / "smoke" / "trials" / f"{trial['number']:04d}" / "scores.json").is_file()


def test_the_same_command_again_says_that_the_study_is_complete(smoke: Path) -> None:
    done = tune("+sweep=smoke", *SMALL, folder=smoke)

    assert done.returncode == 0
    assert "2 of 2 trials have ended" in done.stderr
    assert "2 complete" in done.stdout


def test_another_question_under_the_same_name_is_refused_with_what_differs(smoke: Path) -> None:
    done = tune("+sweep=smoke", *SMALL, "train.learning_rate=0.5", folder=smoke)

    assert done.returncode == 2
    assert "train.learning_rate was 0.001, now 0.5" in done.stderr
    assert "study.name=" in done.stderr


def test_the_command_of_a_trial_repeats_its_numbers(smoke: Path) -> None:
    record = json.loads(tune("report", "smoke", "report.format=json", folder=smoke).stdout)
    trial = record["trials"][0]

    done = tune(*trial["command"].split()[3:], folder=smoke)

    assert done.returncode == 0, done.stderr
    scores = next((smoke / "trials").glob("*/scores.json"))
    again = json.loads(scores.read_text())
    before = json.loads((smoke / "studies" / "smoke" / "trials" / "0000" / "scores.json").read_text())
    assert again == before


def test_a_diverged_trial_fails_with_that_reason(tmp_path: Path) -> None:
    done = tune("model=tiny", *SMALL, "train.learning_rate=1e30", "evaluate.limit=1", folder=tmp_path / "runs")

    assert done.returncode == 1
    assert "(diverged)" in done.stderr


def test_a_report_of_a_study_that_is_not_there_names_those_that_are(smoke: Path) -> None:
    done = tune("report", "smoek", folder=smoke)

    assert done.returncode == 2
    assert "Did you mean smoke" in done.stderr


def test_ctrl_c_leaves_no_orphans_and_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    command = [sys.executable, "-m", "tune", "+sweep=smoke", "data.n_train=2000", f"track.folder={folder}"]
    study = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder)
    )
    progress = folder / "studies" / "smoke" / "trials" / "0000" / "progress.json"
    until = time.monotonic() + 120
    while time.monotonic() < until and not (progress.is_file() and "train" in progress.read_text()):
        time.sleep(0.1)

    study.send_signal(signal.SIGINT)
    _, said = study.communicate(timeout=60)

    assert study.returncode == 130, said
    assert "goes on where this one ended" in said
    assert not [line for line in processes() if str(folder) in line]
    record = json.loads(tune("report", "smoke", "report.format=json", folder=folder).stdout)
    assert record["states"]["running"] == 0
    assert record["states"]["waiting"] == 2
    store = MlflowStore(folder, "tune")
    assert {run.status for run in store.children(record["run_id"])} == {"killed"}


def processes() -> list[str]:
    return [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
