"""A study of two objectives as its user runs it: a sweep file of one's own, nsga2, and every command after it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.promises.study_process import SMALL, kill_all, tune
from tune.track.mlflow_store import MlflowStore

SWEEP = """# @package _global_
sweep:
  name: both
  question: What does a smaller loss cost in parameters?
  objectives:
    - {metric: cost/trainable_params, direction: minimize}
    - {metric: eval/loss, direction: minimize}
  space:
    lora.rank: [2, 4]
study:
  sampler: nsga2
  population: 2
  n_trials: 4
"""
LOSS, SIZE = "eval/loss", "cost/trainable_params"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str], Any]]:
    """Where a finished study is, its command, and what that printed. Two points, so two trials have a twin."""
    place = tmp_path_factory.mktemp("both")
    (place / "mine" / "sweep").mkdir(parents=True)
    (place / "mine" / "sweep" / "both.yaml").write_text(SWEEP)
    words = ["--config-dir", str(place / "mine"), "+sweep=both", "model=tiny", *SMALL, "evaluate.general=none"]
    words += ["workers.count=1", "workers.threads=1"]
    ran = tune(*words, folder=place / "runs")
    assert ran.returncode == 0, ran.stderr
    yield place / "runs", words, ran
    kill_all()


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tune("report", "both", "report.format=json", folder=folder).stdout)
    return found


def beats(one: dict[str, float], other: dict[str, float]) -> bool:
    pairs = [(one[metric], other[metric]) for metric in (LOSS, SIZE)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def test_the_study_says_what_it_is_about_and_ends_with_its_front(done: tuple[Path, list[str], Any]) -> None:
    folder, _, ran = done
    record = report(folder)

    assert "minimize cost/trainable_params, minimize eval/loss; the task's score is" in " ".join(ran.stderr.split())
    assert "4 (nsga2, 2 a generation)" in ran.stderr
    trials = {trial["number"]: trial["metrics"] for trial in record["trials"]}
    assert len(trials) == 4
    assert record["states"]["complete"] == 4
    front = [point["trials"][0] for point in record["front"]]
    assert front
    assert not any(beats(other, trials[number]) for number in front for other in trials.values())
    sizes = [point["values"][SIZE] for point in record["front"]]
    assert sizes == sorted(sizes), "by the first objective"
    for number in front:
        assert f"Repeat trial {number}:" in ran.stdout
    assert "Repeat the best trial" not in ran.stdout
    assert "Pareto front: trial" in ran.stdout


def test_a_trial_with_the_configuration_of_another_has_all_its_values(done: tuple[Path, list[str], Any]) -> None:
    trials = report(done[0])["trials"]
    twins = [trial for trial in trials if any("its result was taken" in note for note in trial["notes"])]

    assert len(twins) == 2
    for twin in twins:
        own = [one for one in trials if one["parameters"] == twin["parameters"] and one not in twins]
        assert [one["metrics"] for one in own] == [twin["metrics"]]


def test_mlflow_has_the_best_of_each_objective(done: tuple[Path, list[str], Any]) -> None:
    record = report(done[0])
    parent = MlflowStore(done[0], "tune").read(record["run_id"])

    assert parent is not None
    for metric in (LOSS, SIZE):
        assert parent.metrics[f"best/{metric}"] == min(trial["metrics"][metric] for trial in record["trials"])


def test_every_command_knows_such_a_study(done: tuple[Path, list[str], Any]) -> None:
    folder, words, _ = done

    status = tune("status", "both", folder=folder)
    doctor = tune("doctor", "both", folder=folder)
    planned = tune("plan", *words, "study.name=other", "plan.probe=false", folder=folder)
    again = tune(*words, folder=folder)
    otherwise = tune(*words, "sweep.objectives=[{metric:eval/loss},{metric:task/score}]", folder=folder)

    assert "4 of 4 trials ended (4 complete)" in status.stdout
    assert doctor.returncode == 0, doctor.stdout
    assert "objectives minimize cost/trainable_params, minimize eval/loss" in " ".join(planned.stdout.split())
    assert (again.returncode, "4 of 4 trials have ended" in again.stderr) == (0, True)
    assert otherwise.returncode == 2
    assert "sweep.objectives was" in otherwise.stderr


def test_the_adapters_of_the_front_are_kept_first(done: tuple[Path, list[str], Any]) -> None:
    folder, _, _ = done
    smallest = report(folder)["front"][0]["trials"][0]

    freed = tune("clean", "both", "clean.keep_adapters=1", "clean.yes=true", folder=folder)

    assert freed.returncode == 0, freed.stderr
    kept = [place.parent.name for place in (folder / "studies" / "both" / "trials").glob("*/adapter")]
    assert kept == [f"{smallest:04d}"]
