"""Mistakes as a user makes them: one paragraph, a way out, code 2, nothing heavy imported, nothing made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import sys
from tune.cli import main
code = main(sys.argv[1:])
heavy = [name for name in ("torch", "mlflow", "transformers", "trl", "peft", "lm_eval") if name in sys.modules]
print("HEAVY", *heavy)
sys.exit(code)
"""


def tune(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TUNE_CACHE": str(cwd / "cache")}
    return subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
        cwd=cwd,
    )


def refused(*words: str, cwd: Path) -> str:
    """Return what the refusal says, after checking what every refusal must be."""
    before = _left_behind(cwd)
    done = tune(*words, cwd=cwd)

    assert done.returncode == 2, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["HEAVY"], "a mistake is told before anything heavy is imported"
    assert done.stderr.startswith("tune: ")
    assert len(done.stderr.strip().splitlines()) == 1, "one paragraph"
    assert "Traceback" not in done.stderr
    assert _left_behind(cwd) == before, "a mistake leaves nothing behind"
    return done.stderr


def _left_behind(folder: Path) -> list[Path]:
    """Return all files but those of the cache, where rows are kept that were read before the mistake was seen."""
    return sorted(path for path in folder.rglob("*") if "cache" not in path.relative_to(folder).parts)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reprot", "smoke"], ["reprot", "Did you mean report"]),
        (["lora.rnk=4"], ["lora.rnk", "lora.rank"]),
        (["+sweep=rank_alhpa"], ["rank_alhpa", "Did you mean rank_alpha"]),
        (["data=text_to_sqk"], ["data=text_to_sqk", "text_to_sql"]),
        (["+sweep=smoke", "lora.rank=0"], ["lora.rank=0", "1 or more"]),
        (["+sweep=smoke", "sweep.objective.metric=task/scor"], ["task/scor", "Did you mean task/score"]),
        (["+sweep=smoke", "evaluate.general=none", "sweep.objective.metric=general/probe/acc"], ["general/probe/acc"]),
        (["+sweep=smoke", "data.metrics=[acuracy]"], ["acuracy", "exact_match", "Did you mean accuracy"]),
        (["+sweep=smoke", "study.name=../other"], ["study.name=../other", "letters"]),
        (["evaluate=mmlu", "evaluate.mmlu_dir=nowhere"], ["nowhere", "dev"]),
        (["data=jsonl", "data.path=nowhere.jsonl"], ["nowhere.jsonl", "does not exist"]),
        (["model.path=./nowhere"], ["nowhere"]),
        (["report"], ["report needs the name"]),
        (["report", "smoke"], ["no study called smoke"]),
        (["lora.rank=4", "smoke"], ["smoke", "names first"]),
        (["votes", "smoke"], ["votes NAME FILE", "may hold no ="]),
        (["votes", "smoke", "a.csv"], ["no folder of a study called smoke"]),
        (["sheet"], ["sheet needs the name"]),
        (["sheet", "smoke", "sheet.n=0"], ["sheet.n=0", "1 or more"]),
        (["sheet", "smoke", "sheet.against=best"], ["sheet.against=best", "base, or the number"]),
        (["sheet", "smoke", "sheet.trial=2", "sheet.against=2"], ["sheet.against=2", "itself"]),
        (["judge", "smoke"], ["evaluate.judge.base_url is not set", "TUNE_JUDGE_API_KEY"]),
        (["judge", "smoke", "evaluate.judge.base_url=http://127.0.0.1:1/v1"], ["evaluate.judge.model is not set"]),
        (["judge", "smoke", "evaluate.judge.key_env=sk-abc"], ["name of an environment variable"]),
        (["--config-dir", "nowhere"], ["nowhere"]),
    ],
)
def test_a_mistake_is_one_paragraph(tmp_path: Path, words: list[str], said: list[str]) -> None:
    text = refused(*words, cwd=tmp_path)

    for part in said:
        assert part in text


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("train.learning_rate: {low: 1e-3, high: 1e-5, log: true}", ["train.learning_rate", "low"]),
        ("lora.rank: []", ["lora.rank", "has no choices", "name at least one value"]),
        ("lora.rank: [4, 0]", ["lora.rank=0"]),
        ("lora.rnk: [4]", ["lora.rnk", "lora.rank"]),
    ],
)
def test_a_search_space_that_cannot_be_searched(tmp_path: Path, space: str, said: list[str]) -> None:
    sweep = tmp_path / "mine" / "sweep" / "mine.yaml"
    sweep.parent.mkdir(parents=True)
    sweep.write_text(f"# @package _global_\nsweep:\n  name: mine\n  question: Which?\n  space:\n    {space}\n")

    text = refused("--config-dir", "mine", "+sweep=mine", "model=tiny", "study.n_trials=2", cwd=tmp_path)

    for part in said:
        assert part in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ["is empty"]),
        ('{"instruction": "a", "output": "b"}\nnot json\n', ["line 2", "not JSON"]),
        ('{"instruction": "a", "output": ""}\n', ["rows.jsonl/1", "none of the 1 rows: empty answers 1"]),
        ('{"messages": [{"role": "user", "content": "a"}]}\n', ["line 1", "no answer"]),
        ('{"instruction": "a", "output": "b"}\n', ["data.path=rows.jsonl", "1 row"]),
    ],
)
def test_a_data_file_that_cannot_be_trained_on(tmp_path: Path, content: str, said: list[str]) -> None:
    (tmp_path / "rows.jsonl").write_text(content)

    text = refused("+sweep=smoke", "data=jsonl", "data.path=rows.jsonl", cwd=tmp_path)

    for part in ("rows.jsonl", *said):
        assert part in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["track.folder=/proc/nowhere"], ["/proc/nowhere"]),
        (
            ["track.folder=runs", "study.storage=sqlite:////proc/nowhere/study.db"],
            ["/proc/nowhere/study.db", "can be written"],
        ),
        (["track.folder=runs", "study.storage=sqlite:///file.txt"], ["file.txt"]),
        (["track.folder=runs", "study.storage=nothing://here"], ["nothing://here"]),
    ],
)
def test_a_place_that_cannot_be_written(tmp_path: Path, words: list[str], said: list[str]) -> None:
    (tmp_path / "file.txt").write_text("no database\n" * 200)

    done = tune("+sweep=smoke", *words, cwd=tmp_path)

    assert done.returncode == 2, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["HEAVY"]
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for part in said:
        assert part in done.stderr
    assert (tmp_path / "file.txt").read_text() == "no database\n" * 200


def test_help_names_every_sweep_and_takes_about_a_second(tmp_path: Path) -> None:
    done = tune("--help", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].split() == ["HEAVY"]
    for word in ("rank_alpha", "smollm2_135m", "report", "TUNE_CACHE"):
        assert word in done.stdout


def test_the_whole_configuration_is_printed_as_yaml(tmp_path: Path) -> None:
    import yaml

    done = tune("config", "+sweep=rank_alpha", "lora.dropout=0.1", cwd=tmp_path)

    shown = yaml.safe_load(done.stdout.rsplit("HEAVY", 1)[0])
    assert shown["lora"]["dropout"] == 0.1
    assert shown["sweep"]["name"] == "rank_alpha"
    assert json.loads(json.dumps(shown)) == shown


def test_a_model_that_cannot_be_had_fails_no_trial(tmp_path: Path) -> None:
    words = ["model.embedded=null", "model.path=nobody/nothing", "track.folder=runs"]

    study = tune("+sweep=smoke", *words, cwd=tmp_path)
    alone = tune(*words, cwd=tmp_path)

    for done in (study, alone):
        assert done.returncode == 2, done.stderr
        assert "the hub does not give it" in done.stderr
        assert "Traceback" not in done.stderr
    record = json.loads(
        tune("report", "smoke", "report.format=json", "track.folder=runs", cwd=tmp_path).stdout[: -len("HEAVY\n")]
    )
    assert record["states"] == {"waiting": 0, "running": 0, "complete": 0, "pruned": 0, "infeasible": 0, "failed": 0}
    assert not (tmp_path / "runs" / "mlflow.db").exists()


def test_pages_of_a_server_are_named_and_not_started(tmp_path: Path) -> None:
    done = tune("ui", "track.uri=http://127.0.0.1:5000", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:5000" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["HEAVY"]
