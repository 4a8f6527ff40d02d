"""What every store of runs promises, asked of each."""

import math
from pathlib import Path

import pytest

from tune.errors import EntryRefused, TrackingError
from tune.track.recorder import Point, RunRecord, RunRecorder, RunStatus

# MLflow's own use of SQLAlchemy, on import
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


@pytest.fixture
def study(bench) -> RunRecorder:
    return bench.store.study_run("rank_alpha", tags={})


@pytest.fixture
def trial(bench, study) -> RunRecorder:
    return bench.store.trial_run(name="trial 0", study_run_id=study.run_id, tags={"tune.number": "0"})


@pytest.fixture
def recorded(bench, study, trial):
    """Return the trial as the store lists it now."""

    def recorded() -> RunRecord:
        return next(run for run in bench.store.children(study.run_id) if run.run_id == trial.run_id)

    return recorded


def test_a_trial_is_listed_with_all_that_was_recorded(trial, recorded) -> None:
    trial.params({"lora.rank": 16, "train.learning_rate": 2e-4, "lora.rslora": True, "model.name": "smollm2"})
    trial.metrics({"task/score": 0.75, "cost/seconds": 54})
    trial.tags({"tune.reason": "none"})
    trial.finish(RunStatus.finished)

    assert recorded() == RunRecord(
        run_id=trial.run_id,
        name="trial 0",
        status=RunStatus.finished,
        params={"lora.rank": "16", "train.learning_rate": "0.0002", "lora.rslora": "true", "model.name": "smollm2"},
        metrics={"task/score": 0.75, "cost/seconds": 54.0},
        tags={"tune.kind": "trial", "tune.number": "0", "tune.reason": "none"},
    )


def test_a_study_asked_for_again_is_the_same_run(bench) -> None:
    first = bench.store.study_run('it\'s "the" study', tags={"tune.sweep": "a"})
    first.finish(RunStatus.killed)

    again = bench.store.study_run('it\'s "the" study', tags={"tune.sweep": "b"})
    other = bench.store.study_run("another", tags={})

    assert again.run_id == first.run_id
    assert other.run_id != first.run_id
    assert bench.store.children(first.run_id) == []


def test_a_trial_tagged_with_a_studys_name_is_not_taken_for_the_study(bench) -> None:
    bench.store.trial_run(name="t", study_run_id=None, tags={"tune.study": "late", "tune.kind": "study"})

    study = bench.store.study_run("late", tags={})

    assert bench.store.study_run("late", tags={}).run_id == study.run_id


def test_children_come_oldest_first_and_only_from_their_own_study(bench, study) -> None:
    other = bench.store.study_run("other", tags={})
    ours = [bench.store.trial_run(name=f"t{i}", study_run_id=study.run_id, tags={}).run_id for i in range(3)]
    bench.store.trial_run(name="theirs", study_run_id=other.run_id, tags={})
    bench.store.trial_run(name="alone", study_run_id=None, tags={})

    assert [child.run_id for child in bench.store.children(study.run_id)] == ours
    assert [child.name for child in bench.store.children(other.run_id)] == ["theirs"]
    assert bench.store.children("0" * 32) == []


def test_only_running_children_are_unfinished_and_a_reopened_one_is_again(bench, study) -> None:
    done, open_, back = (bench.store.trial_run(name=n, study_run_id=study.run_id, tags={}) for n in "abc")
    done.finish(RunStatus.failed)
    back.finish(RunStatus.killed)
    back.reopen()

    assert bench.store.unfinished(study.run_id) == [open_.run_id, back.run_id]


@pytest.mark.parametrize("last", [RunStatus.finished, RunStatus.failed, RunStatus.killed])
def test_the_last_of_several_ends_counts(trial, recorded, last) -> None:
    trial.finish(RunStatus.failed)
    trial.finish(last)
    trial.finish(last)

    assert recorded().status is last


def test_the_same_param_again_is_fine_also_from_another_recorder(bench, trial, recorded) -> None:
    trial.params({"lora.rank": 16})
    trial.params({"lora.rank": 16, "lora.alpha": 32})
    bench.store.open(trial.run_id).params({"lora.rank": 16})

    assert recorded().params == {"lora.rank": "16", "lora.alpha": "32"}


def test_another_value_of_a_param_is_refused_and_nothing_of_it_recorded(trial, recorded) -> None:
    trial.params({"lora.rank": 16})

    with pytest.raises(TrackingError, match=r"param lora.rank of run .* is 16 and cannot become 8: .*another trial"):
        trial.params({"lora.alpha": 32, "lora.rank": 8})

    assert recorded().params == {"lora.rank": "16"}


def test_metrics_without_a_step_keep_the_last_value(trial, recorded) -> None:
    trial.metrics({"task/score": 0.9})
    trial.metrics({"task/score": 0.1})

    assert recorded().metrics == {"task/score": 0.1}


def test_a_step_is_recorded_once_also_by_a_trial_that_resumes(bench, trial, recorded) -> None:
    trial.metrics({"train/loss": 3.0}, step=1)
    trial.metrics({"train/loss": 2.0, "train/grad_norm": 1.0}, step=2)
    resumed = bench.store.open(trial.run_id)
    resumed.metrics({"train/loss": 9.0, "eval/loss": 5.0}, step=2)
    resumed.metrics({"train/loss": 1.0}, step=3)
    resumed.metrics({"train/loss": 9.0}, step=3)
    bench.store.open(trial.run_id).metrics({"train/loss": 9.0}, step=3)

    assert recorded().metrics == {"train/loss": 1.0, "train/grad_norm": 1.0, "eval/loss": 5.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_becomes_a_tag_and_no_metric(trial, recorded, value) -> None:
    trial.metrics({"eval/loss": value, "train/loss": 1.5}, step=7)
    trial.metrics({"task/score": value})

    assert recorded().metrics == {"train/loss": 1.5}
    assert recorded().tags["tune.nonfinite/eval/loss"] == f"{value} at step 7"
    assert recorded().tags["tune.nonfinite/task/score"] == str(value)


def test_hundreds_of_params_and_thousands_of_metrics_go_in_at_once(trial, recorded) -> None:
    trial.params({f"p{i}": i for i in range(250)})
    trial.metrics({f"m{i}": i for i in range(1250)}, step=1)

    assert recorded().params == {f"p{i}": str(i) for i in range(250)}
    assert recorded().metrics == {f"m{i}": float(i) for i in range(1250)}


def test_a_value_too_long_for_a_param_is_kept_whole_as_an_artifact(bench, trial, recorded) -> None:
    prompt = "Answer in SQL. " * 500  # 7500 characters
    trial.params({"data.prompt": prompt})
    trial.params({"data.prompt": prompt})
    trial.tags({"tune.error": prompt})

    shown = recorded().params["data.prompt"]
    assert shown.startswith("Answer in SQL. Answer")
    assert shown.endswith("whole in long/params/data.prompt.txt)")
    assert "7500 characters" in shown
    assert bench.read(trial.run_id, "long/params/data.prompt.txt") == prompt
    assert bench.read(trial.run_id, "long/tags/tune.error.txt") == prompt
    with pytest.raises(TrackingError, match="cannot become"):
        trial.params({"data.prompt": prompt + "!"})


def test_a_value_of_exactly_6000_characters_stays_a_param(trial, recorded) -> None:
    trial.params({"data.prompt": "x" * 6000})

    assert recorded().params == {"data.prompt": "x" * 6000}


def test_texts_files_and_folders_are_kept_under_their_names(bench, trial, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    (adapter / "deep").mkdir(parents=True)
    (adapter / "config.json").write_text("{}")
    (adapter / "deep" / "weights").write_text("w")

    trial.text("config.yaml", "seed: 0 # ü")
    trial.text("config.yaml", "seed: 1 # ü")
    trial.artifact(adapter)
    trial.artifact(adapter, folder="kept")
    trial.artifact(adapter / "config.json", folder="single/one")

    assert bench.read(trial.run_id, "config.yaml") == "seed: 1 # ü"
    assert bench.read(trial.run_id, "adapter/deep/weights") == "w"
    assert bench.read(trial.run_id, "kept/adapter/config.json") == "{}"
    assert bench.read(trial.run_id, "single/one/config.json") == "{}"


def test_a_file_that_is_not_there_is_said_so(trial, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"nowhere.json with run .* no such file or folder"):
        trial.artifact(tmp_path / "nowhere.json")


@pytest.mark.parametrize("name", ["../escape", "/etc/motd", "a/../../b", "", ".", "a\\..\\b"])
def test_an_artifact_name_cannot_lead_out_of_the_run(trial, name) -> None:
    with pytest.raises(TrackingError, match="a path inside the run"):
        trial.text(name, "x")


@pytest.mark.parametrize("name", ["", "a*b", "/a", "a/", "a//b", "../a", "mlflow.parentRunId", "x" * 300])
def test_a_name_that_stores_cannot_keep_is_refused_by_all_three(trial, recorded, name) -> None:
    for record in (trial.params, trial.tags, trial.metrics):
        with pytest.raises(TrackingError, match=r"cannot record under the name .* Rename it\."):
            record({name: 1.0} if record == trial.metrics else {name: "1"})

    assert recorded().params == {}


def test_secrets_reach_neither_params_nor_tags_nor_texts_nor_names(bench, study, monkeypatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    told = "postgresql://me:hunter22@db/x and correct-horse-battery"
    clean = "postgresql://me:***@db/x and ***"

    trial = bench.store.trial_run(name=told, study_run_id=study.run_id, tags={"made.by": told})
    trial.params({"study.storage": told})
    trial.text("config.yaml", told)
    named = bench.store.study_run(told, tags={})

    child = bench.store.children(study.run_id)[0]
    assert (child.name, child.tags["made.by"], child.params["study.storage"]) == (clean, clean, clean)
    assert bench.read(trial.run_id, "config.yaml") == clean
    assert bench.store.study_run(told, tags={}).run_id == named.run_id


def test_a_run_is_read_by_its_id_and_an_unknown_one_is_none(bench, trial, recorded) -> None:
    trial.metrics({"task/score": 0.5})
    trial.finish(RunStatus.failed)

    assert bench.store.read(trial.run_id) == recorded()
    assert bench.store.read("0" * 32) is None


def test_an_unknown_run_cannot_be_opened(bench) -> None:
    with pytest.raises(TrackingError, match=f"(?s){'0' * 32}.* id"):
        bench.store.open("0" * 32)


def test_prepare_may_be_called_again(bench, study) -> None:
    bench.store.prepare()

    assert bench.store.study_run("rank_alpha", tags={}).run_id == study.run_id


def test_a_run_asked_for_again_by_its_key_is_the_same_run(bench, study) -> None:
    asked = {"name": "t", "study_run_id": study.run_id, "tags": {}}
    first = bench.store.trial_run(**asked, key="rank_alpha/3")
    first.finish(RunStatus.killed)

    again = bench.store.trial_run(**asked, key="rank_alpha/3")
    other = bench.store.trial_run(**asked, key="rank_alpha/33")

    assert again.run_id == first.run_id != other.run_id
    assert [child.status for child in bench.store.children(study.run_id)] == [RunStatus.killed, RunStatus.running]
    assert bench.store.find("rank_alpha/33") == other.run_id
    assert bench.store.find("rank_alpha/4") is None
    with pytest.raises(EntryRefused, match="cannot record under the name"):
        bench.store.find("a' or 'a' = 'a")


def test_an_end_told_late_does_not_undo_a_later_one(trial, recorded) -> None:
    trial.finish(RunStatus.finished, at_ms=2_000)
    trial.finish(RunStatus.killed, at_ms=1_000)

    assert recorded().status is RunStatus.finished


def test_the_same_point_again_is_no_second_point(bench, trial, recorded) -> None:
    points = [Point("task/score", 0.5, None, 7), Point("train/loss", 2.0, 1, 8)]
    trial.points(points)
    bench.store.open(trial.run_id).points(points)
    trial.points([Point("task/score", 0.25, None, 9)])
    trial.points(points)

    assert recorded().metrics == {"task/score": 0.25, "train/loss": 2.0}
