"""The main job as its user does it: the command line, real processes, both databases."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.study_process import SMALL, kill_all, only_run, processes, started, tune, wait_for_training
from tune.config import metrics
from tune.config.compose import compose
from tune.track.mlflow_store import MlflowStore


@pytest.fixture(autouse=True)
def _nobody_left() -> Iterator[None]:
    yield
    kill_all()


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

    assert record["states"] == {"waiting": 0, "running": 0, "complete": 2, "pruned": 0, "infeasible": 0, "failed": 0}
    runs = MlflowStore(smoke, "tune").children(record["run_id"])
    assert sorted(run.run_id for run in runs) == sorted(trial["run_id"] for trial in record["trials"])
    assert {run.status for run in runs} == {"finished"}
    assert [run.params["lora.rank"] for run in runs] in (["2", "4"], ["4", "2"])
    wanted = set(metrics.metric_names(compose(["+sweep=smoke"])))
    for run, trial in zip(sorted(runs, key=lambda run: run.name), record["trials"], strict=True):
        assert set(trial["metrics"]) == wanted | {metrics.ESTIMATED_GIB}
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
    study = started("+sweep=smoke", "train.epochs=2000", folder=folder)
    wait_for_training(folder)
    second = tune("+sweep=smoke", "train.epochs=2000", folder=folder)
    meanwhile = json.loads(tune("report", "smoke", "report.format=json", folder=folder).stdout)
    parent = MlflowStore(folder, "tune").read(meanwhile["run_id"])

    study.send_signal(signal.SIGINT)
    _, said = study.communicate(timeout=60)

    assert second.returncode == 2
    assert "is being run by another process" in second.stderr
    assert parent is not None
    assert parent.status == "running", "the second command touched nothing of it"
    assert study.returncode == 130, said
    assert "goes on where this one ended" in said
    assert not [line for line in processes() if str(folder) in line]
    record = json.loads(tune("report", "smoke", "report.format=json", folder=folder).stdout)
    assert record["states"] == {"waiting": 2, "running": 0, "complete": 0, "pruned": 0, "infeasible": 0, "failed": 0}
    store = MlflowStore(folder, "tune")
    assert {run.status for run in store.children(record["run_id"])} == {"killed"}


def test_a_study_that_is_stopped_finishes_what_runs_and_starts_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    # Long enough for two commands to start and be heard before it ends, on a machine that does other things too.
    words = ["+sweep=smoke", *SMALL, "data.n_train=3200", "workers.count=1"]
    study = started(*words, folder=folder)
    wait_for_training(folder)

    shown = tune("status", "smoke", folder=folder)
    stopped = tune("stop", "smoke", folder=folder)
    _, said = study.communicate(timeout=240)

    assert shown.returncode == 0, shown.stderr
    assert "0 of 2 trials ended (1 waiting, 1 running)" in shown.stdout
    assert re.search(r"0 +1 +\d+ s +train \d+/800 .* lora.rank=2", shown.stdout)
    assert "1 running trials are finished, none is started" in stopped.stdout
    assert study.returncode == 0, said
    record = json.loads(tune("report", "smoke", "report.format=json", folder=folder).stdout)
    assert record["states"] == {"waiting": 1, "running": 0, "complete": 1, "pruned": 0, "infeasible": 0, "failed": 0}


@pytest.mark.parametrize(
    ("words", "score"),
    [
        (["data=banking77", "data.path={data}/banking77"], "task/exact_match"),
        (["data=gsm8k", "data.path={data}/gsm8k"], "task/numeric"),
        (["evaluate=mmlu", "evaluate.mmlu_dir={data}/mmlu", "evaluate.n_shot=0"], "mmlu/delta_high"),
    ],
)
def test_public_data_trains_and_scores(tmp_path: Path, shared_data: Path, words: list[str], score: str) -> None:
    filled = [word.format(data=shared_data) for word in words]

    done = tune("model=tiny", *filled, *SMALL, "evaluate.limit=1", folder=tmp_path / "runs")

    assert done.returncode == 0, done.stderr
    assert "eval/loss" in done.stdout
    assert "data.n_train=16" in done.stderr
    run = only_run(tmp_path / "runs")
    assert score in run["metrics"]
    assert len(run["scores"]["adapted"]["ids"]["general"]) == 57


@pytest.mark.real
def test_the_real_model_learns_the_task(tmp_path: Path) -> None:
    words = ["data.n_train=32", "data.n_validation=8", "evaluate.limit=1", "data.max_new_tokens=32"]
    command = [sys.executable, "-m", "tune", *words, f"track.folder={tmp_path / 'runs'}"]

    # With the user's own cache: 93 MB are fetched once.
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    assert done.returncode == 0, done.stderr
    metrics = only_run(tmp_path / "runs")["metrics"]
    assert metrics["eval/loss"] < 0.6 * metrics["eval/loss_base"]
    assert metrics["perplexity/domain"] < metrics["perplexity/domain_base"]
    assert metrics["general/probe/delta_low"] <= metrics["general/probe/delta"] <= metrics["general/probe/delta_high"]
    # SmolLM2-135M guesses letters, 1 in 4 of 57; six standard deviations of that are 0.34.
    assert abs(metrics["general/probe/acc_base"] - 0.25) < 0.34
