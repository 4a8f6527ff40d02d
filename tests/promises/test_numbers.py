"""A number that is none is never a result, and a result is the adapter's that was saved."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.promises import poison
from tests.promises.study_process import (
    CELLS,
    SMALL,
    checkpoints,
    environment,
    kill_study,
    query,
    record,
    runs_of,
    started,
    trial_folder,
    tune,
    wait_for_phase,
)
from tune.config.compose import compose
from tune.errors import AssetError, EvaluationError
from tune.files import read_manifest, write_manifest
from tune.model import adapt
from tune.model.adapter_folder import WEIGHTS
from tune.model.load import load_base
from tune.trial.measure import Measured, compare

ONE = [*CELLS, "study.n_trials=1"]


def assert_diverged(runs: Path, reason: str = "diverged") -> dict[str, Any]:
    """Check that trial 0 failed and left nothing that could pass for a result; return it."""
    (trial,) = record("cells", runs)["trials"]
    assert (trial["state"], trial["reason"]) == ("failed", reason)
    assert trial["metrics"] == {}
    assert query(runs / "optuna.db", "SELECT * FROM trial_values") == []
    assert runs_of("cells", runs)["0"].status == "failed"
    assert not (runs / "artifacts" / trial["run_id"] / "artifacts" / "adapter").exists()
    assert not (trial_folder(runs, "cells", 0) / "outcome.json").exists()
    assert not (trial_folder(runs, "cells", 0) / "scores.json").exists()
    return trial


@pytest.fixture
def tiny(cache: Path) -> Path:
    """The folder of the tiny model."""
    (folder,) = cache.glob("models/tiny-*")
    return folder


@pytest.mark.promise(13)
@pytest.mark.slow
@pytest.mark.parametrize("rate", ["1e9", "1e30"])
def test_a_learning_rate_that_explodes(runs: Path, evidence, rate: str) -> None:
    plain = [word.replace("sweep=cells", "sweep=rank_alpha") for word in ONE]

    done = tune(*plain, "study.name=cells", f"train.learning_rate={rate}", folder=runs)

    assert done.returncode == 1, done.stdout
    evidence(f"lr {rate}: {assert_diverged(runs)['message']}")


@pytest.mark.promise(13)
@pytest.mark.slow
def test_one_poisoned_row_in_training(runs: Path, tmp_path: Path, tiny: Path, evidence) -> None:
    model = poison.poisoned_model(tiny, tmp_path / "model", poison.rare_token(tiny))
    poison.rows_with_the_token_in("train", tmp_path / "rows.jsonl")

    done = tune(*ONE, *poison.words(tmp_path / "rows.jsonl"), f"model.path={model}", folder=runs)

    assert done.returncode == 1, done.stdout
    message = assert_diverged(runs)["message"]
    assert "loss nan" in message
    evidence(f"one row of 12: {message}")


@pytest.mark.promise(13)
@pytest.mark.slow
@pytest.mark.parametrize("where", ["validation", "knowledge questions"])
def test_a_nan_in_the_evaluation_alone(runs: Path, tmp_path: Path, tiny: Path, evidence, where: str) -> None:
    rows = tmp_path / "rows.jsonl"
    if where == "validation":
        poison.rows_with_the_token_in("validation", rows)
        tokens, general = poison.rare_token(tiny), "none"
    else:
        poison.plain_rows(rows)
        from tune.evaluate.questions import read_probe

        asked = "\n".join(question.text for question in read_probe(limit=1).test)
        tokens, general = poison.tokens_of_questions_alone(tiny, asked, rows), "probe"
    model = poison.poisoned_model(tiny, tmp_path / "model", tokens)
    more = [f"model.path={model}", f"evaluate.general={general}", "evaluate.limit=1"]

    done = tune(*ONE, *poison.words(rows), *more, folder=runs)

    assert done.returncode == 1, done.stdout
    evidence(f"{where}: {assert_diverged(runs)['message']}")


@pytest.mark.promise(14)
@pytest.mark.slow
@pytest.mark.parametrize("harm", ["nan", "zeros"])
def test_a_corrupted_adapter_is_refused_before_it_is_scored(runs: Path, evidence, harm: str) -> None:
    words = [*ONE, "data.n_validation=48", "data.max_new_tokens=64", "evaluate.generation_batch_size=2"]
    study = started(*words, folder=runs)
    wait_for_phase(runs, study="cells", phase="answers")
    kill_study(study)
    changed = corrupt(checkpoints("cells", runs, 0)[-1], harm)

    done = tune(*words, folder=runs)

    assert done.returncode == 1, done.stdout
    trial = assert_diverged(runs, "diverged" if harm == "nan" else "nothing_learned")
    assert "not saved" in trial["message"]
    evidence(f"{changed} of the checkpoint after the last step: {trial['message']}")


def corrupt(checkpoint: Path, harm: str) -> str:
    """Put NaN into one tensor of a checkpoint, or zeros into every B, as if that had been trained; return which."""
    file = checkpoint / "adapter.safetensors"
    weights = load_file(file)
    of_b = [name for name in weights if ".lora_B." in name]
    chosen = of_b[:1] if harm == "nan" else of_b
    for name in chosen:
        weights[name] = torch.full_like(weights[name], float("nan") if harm == "nan" else 0.0)
    save_file(weights, file)
    manifest = read_manifest(checkpoint)
    assert manifest is not None
    write_manifest(checkpoint, manifest["recipe"])
    return f"{harm} in {len(chosen)} of {len(weights)} tensors"


TRIAL = ["model=tiny", *SMALL, "train.learning_rate=1e-2", "evaluate.limit=1", "workers.threads=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Callable[..., Path]:
    """Run one trial and return its folder."""

    def run(*overrides: str) -> Path:
        top = tmp_path_factory.mktemp("trained")
        (top / "cache").symlink_to(cache)
        done = tune(*TRIAL, *overrides, folder=top / "runs")
        assert done.returncode == 0, done.stderr
        return next((top / "runs" / "trials").iterdir())

    return run


@pytest.fixture(scope="module")
def trial(trained: Callable[..., Path]) -> Path:
    """The folder of a finished trial."""
    return trained()


def scores(folder: Path, side: str) -> Measured:
    return Measured.from_json(json.loads((folder / "scores.json").read_text())[side])


@pytest.mark.promise(22)
@pytest.mark.slow
def test_a_new_process_measures_the_saved_adapter_as_the_live_one_was(trial: Path, evidence) -> None:
    script = Path(__file__).parent / "reload_and_measure.py"
    command = [sys.executable, str(script), str(trial / "adapter"), *TRIAL]

    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment(trial.parents[1])
    )

    assert done.returncode == 0, done.stderr
    live, base = scores(trial, "adapted"), scores(trial, "base")
    reloaded = Measured.from_json(json.loads(done.stdout.splitlines()[-1]))
    assert reloaded.replies == live.replies
    largest = max(
        float(np.abs(reloaded.scores["general/logprob"] - live.scores["general/logprob"]).max()),
        float(np.abs(reloaded.surprise.text - live.surprise.text).max()),
        float(np.abs(reloaded.surprise.answer - live.surprise.answer).max()),
    )
    assert largest <= 1e-6
    moved = float(np.abs(live.surprise.answer - base.surprise.answer).max())
    assert moved > 0.1, "the adapter changes something, so a reload without it would be seen"
    evidence(f"{len(live.replies)} replies equal, largest difference of a log-probability {largest:.1e} nats")


@pytest.mark.promise(22)
def test_an_adapter_that_lacks_a_tensor_is_an_error(trial: Path, tiny: Path, tmp_path: Path, evidence) -> None:
    config = compose(TRIAL)
    base = load_base(config.model, config.quantization, folder=tiny)
    folder = tmp_path / "adapter"
    folder.mkdir()
    for file in (trial / "adapter").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / WEIGHTS)
    del weights[min(weights)]
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    with pytest.raises(AssetError, match="1 tensors are missing") as error:
        adapt.reload(base, folder)

    evidence(str(error.value).split(": ", 1)[1])


@pytest.mark.promise(22)
@pytest.mark.slow
def test_no_delta_is_given_across_two_fingerprints(trial: Path, trained: Callable[..., Path], evidence) -> None:
    other = trained("data.max_new_tokens=9")

    with pytest.raises(EvaluationError, match="not measured alike"):
        compare(scores(trial, "base"), scores(other, "adapted"), compose(TRIAL))

    prints = [scores(folder, "base").fingerprint[:8] for folder in (trial, other)]
    evidence(f"fingerprints {' and '.join(prints)}, of replies of 8 and 9 tokens: no delta")
