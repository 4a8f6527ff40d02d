"""The end of a real study: the test split is scored once, from the files, in both forms, and the verdict follows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.promises.study_process import SMALL, kill_all, tune
from tune.config.compose import compose
from tune.study.rows import DATA
from tune.study.storage import load_study
from tune.track.mlflow_store import MlflowStore
from tune.track.recorder import RunStatus

SWEEP = """# @package _global_
sweep:
  name: ends
  question: Does a study end with a verdict?
  guards:
    - {metric: general/probe/logprob_delta, at_least: -9}
  space:
    lora.rank: [2, 4]
study:
  sampler: grid
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str], Any]]:
    """Where a finished study is, its command, and what that printed; of its two trials one is a finalist."""
    place = tmp_path_factory.mktemp("ends")
    (place / "mine" / "sweep").mkdir(parents=True)
    (place / "mine" / "sweep" / "ends.yaml").write_text(SWEEP)
    words = ["--config-dir", str(place / "mine"), "+sweep=ends", "model=tiny", *SMALL]
    words += ["data.n_test=6", "evaluate.limit=1", "evaluate.finalists=1", "workers.count=1", "workers.threads=1"]
    ran = tune(*words, folder=place / "runs")
    assert ran.returncode == 0, ran.stderr
    yield place / "runs", words, ran
    kill_all()


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tune("report", "ends", "report.format=json", folder=folder).stdout)
    return found


@pytest.fixture(scope="module")
def record(done: tuple[Path, list[str], Any]) -> dict[str, Any]:
    """What the study's report says at its first end."""
    return report(done[0])


def final_of(folder: Path, trial: int) -> dict[str, Any]:
    file = folder / "studies" / "ends" / "trials" / f"{trial:04d}" / "final.json"
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def scores_of(folder: Path, trial: int) -> dict[str, Any]:
    file = folder / "studies" / "ends" / "trials" / f"{trial:04d}" / "scores.json"
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_it_ends_with_a_verdict_in_plain_words(done: tuple[Path, list[str], Any], record: dict[str, Any]) -> None:
    _, _, ran = done

    assert record["verdict"]["verdict"] in {"SHIP", "NO", "INSUFFICIENT"}
    assert f"verdict: {record['verdict']['verdict']}  trial {record['verdict']['trial']}" in ran.stdout
    assert "the task is " in record["verdict"]["reasons"][0]
    assert "on 6 examples" in record["verdict"]["reasons"][0]
    assert "guard general/probe/logprob_delta ≥ -9 is kept" in ran.stdout
    assert "enough: Take rank=" in ran.stdout


def test_the_finalist_is_scored_on_examples_that_the_search_never_saw(
    done: tuple[Path, list[str], Any], record: dict[str, Any]
) -> None:
    folder, _, _ = done
    [final] = record["finals"]
    kept = final_of(folder, final["trial"])

    assert kept["split"] == "test"
    tested = {example["id"] for example in kept["examples"]}
    assert len(tested) == final["n_examples"] == 6
    assert not tested & set(scores_of(folder, final["trial"])["base"]["ids"]["task"])
    assert {prompt["kind"] for prompt in kept["prompts"]} >= {"general", "jailbreak"}, "which trials were not asked"
    assert [len(kept["replies"][form]) for form in ("base", "adapter", "deployed")] == [6, 6, 6]


def test_merged_it_scores_what_the_adapter_scores_and_the_probe_is_asked_whole(
    done: tuple[Path, list[str], Any], record: dict[str, Any]
) -> None:
    folder, _, _ = done
    [final] = record["finals"]
    scores = final_of(folder, final["trial"])["scores"]
    limited = scores_of(folder, final["trial"])["base"]

    assert scores["deployed"]["scores"]["general/logprob"] == pytest.approx(
        scores["adapter"]["scores"]["general/logprob"], abs=1e-3
    )
    assert scores["adapter"]["scores"]["general/logprob"] != scores["base"]["scores"]["general/logprob"]
    assert len(scores["base"]["ids"]["general"]) > len(limited["ids"]["general"]), "all questions, not one a subject"
    assert set(final["forms"]) == {"adapter", "deployed"}


def test_mlflow_shows_the_test_scores_and_the_verdict(
    done: tuple[Path, list[str], Any], record: dict[str, Any]
) -> None:
    folder, _, _ = done
    store = MlflowStore(folder, "tune")
    [final] = record["finals"]
    run = store.read(next(trial["run_id"] for trial in record["trials"] if trial["number"] == final["trial"]))
    parent = store.read(record["run_id"])

    assert run is not None
    assert parent is not None
    assert run.status is RunStatus.finished
    assert run.tags["tune.verdict"] == final["forms"]["deployed"]["verdict"]
    metrics = final["forms"]["deployed"]["metrics"]
    assert run.metrics["final/deployed/task/score"] == pytest.approx(metrics["task/score"])
    assert parent.tags["tune.verdict"] == record["verdict"]["verdict"]


def test_the_same_command_again_scores_nothing(done: tuple[Path, list[str], Any], record: dict[str, Any]) -> None:
    folder, words, _ = done
    [final] = record["finals"]
    file = folder / "studies" / "ends" / "trials" / f"{final['trial']:04d}" / "final.json"
    before = file.stat().st_mtime_ns

    again = tune(*words, folder=folder)
    by_hand = tune("finals", "ends", folder=folder)

    assert (again.returncode, by_hand.returncode) == (0, 0)
    assert file.stat().st_mtime_ns == before
    assert "verdict: " in again.stdout
    assert "verdict: " in by_hand.stdout


def test_who_requires_a_verdict_is_told_by_the_exit_code(
    done: tuple[Path, list[str], Any], record: dict[str, Any]
) -> None:
    folder, words, _ = done
    may_ship = record["verdict"]["verdict"] == "SHIP"

    assert tune(*words, "study.require_verdict=true", folder=folder).returncode == (0 if may_ship else 3)


def test_a_further_finalist_whose_adapter_has_gone_is_said_and_does_not_stop_the_others(
    done: tuple[Path, list[str], Any], record: dict[str, Any]
) -> None:
    folder, _, _ = done
    [final] = record["finals"]
    other = next(trial["number"] for trial in record["trials"] if trial["number"] != final["trial"])
    (folder / "studies" / "ends" / "trials" / f"{other:04d}" / "adapter" / "adapter_model.safetensors").unlink()

    ran = tune("finals", "ends", "evaluate.finalists=2", folder=folder)

    assert ran.returncode == 0, ran.stderr
    assert f"trial {other} could not be scored on the test split: no whole adapter in" in ran.stdout
    finals = {one["trial"]: one for one in report(folder)["finals"]}
    assert finals[final["trial"]]["failure"] is None
    assert finals[other]["forms"] == {}


def test_what_was_scored_stays_where_it_cannot_be_scored_again(
    done: tuple[Path, list[str], Any], record: dict[str, Any]
) -> None:
    folder, _, _ = done
    [final] = record["finals"]
    place = folder / "studies" / "ends" / "trials" / f"{final['trial']:04d}"
    (place / "final.json").unlink()
    adapter = place / "adapter" / "adapter_model.safetensors"
    adapter.rename(place / "elsewhere")

    ran = tune("finals", "ends", folder=folder)

    assert ran.returncode == 0, ran.stderr
    assert f"trial {final['trial']} keeps what it scored before." in ran.stderr
    kept = {one["trial"]: one for one in report(folder)["finals"]}[final["trial"]]
    assert kept["forms"] == final["forms"]
    parent = MlflowStore(folder, "tune").read(record["run_id"])
    assert parent is not None
    assert parent.tags["tune.verdict"] == report(folder)["verdict"]["verdict"]


def test_nobody_to_score_and_other_rows_are_refused(done: tuple[Path, list[str], Any]) -> None:
    folder, _, _ = done
    before = report(folder)["verdict"]

    nobody = tune("finals", "ends", "evaluate.finalists=0", folder=folder)
    study = load_study("ends", compose([f"track.folder='{folder}'"]), folder)
    study.set_user_attr(DATA, study.user_attrs[DATA] | {"train": "another"})
    others = tune("finals", "ends", folder=folder)

    assert nobody.returncode == others.returncode == 2
    assert "evaluate.finalists=0 leaves nobody to score" in nobody.stderr
    assert "the rows of train are not those that the study ends began with" in others.stderr
    assert report(folder)["verdict"] == before
