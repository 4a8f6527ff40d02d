"""What `python -m tune plan` says, asked from the command line: nothing is trained, fetched or left behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.promises.study_process import SMALL, tune
from tune.config.compose import compose
from tune.study.candidates import first_points, left_out, looked_at, n_points
from tune.study.space import parse_space
from tune.trial.sizes import different

GB = 10**9 / 1024**3
LLAMA = ["model=llama31_8b", "train.max_length=512", "train.batch_size=1", "train.gradient_checkpointing=true"]
ONE_AT_A_TIME = ["evaluate.batch_size=1", "evaluate.generation_batch_size=1", "model.device=cuda"]


def plan(*words: str, folder: Path) -> dict[str, Any]:
    done = tune("plan", *words, "report.format=json", "plan.probe=false", folder=folder, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert not folder.exists(), "a plan leaves nothing behind"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_grid_is_planned_with_all_its_cells(tmp_path: Path) -> None:
    found = plan("+sweep=smoke", *SMALL, folder=tmp_path / "runs")

    assert (found["n_points"], found["n_trials"], found["n_estimated"]) == (2, 2, 2)
    assert found["first"] == [{"lora.rank": 2, "seed": 0}, {"lora.rank": 4, "seed": 0}]
    # tiny has two blocks; rank 2 on q, k, v, o, gate, up, down of 64, 32 and 128: 2 * 2 * (128+96+96+128+3*192)
    assert found["smallest"]["trainable"] == 2 * 2 * (2 * 128 + 2 * 96 + 3 * 192)
    assert found["largest"]["trainable"] == 2 * found["smallest"]["trainable"]
    assert found["left_out"] == []


def test_a_limit_of_memory_says_how_many_are_above_it(tmp_path: Path) -> None:
    done = tune("plan", "+sweep=smoke", "workers.memory_gib=0.1", folder=tmp_path / "runs")

    assert "2 of 2 configurations estimated: estimated above workers.memory_gib=0.1" in done.stdout
    assert "Nothing was trained." in done.stdout


def test_first_points_of_a_sampler_are_those_that_workers_claim_and_none_is_rejected() -> None:
    config = compose(["+sweep=joint", "model=tiny", "sweep.reject='lora.rank > 8'"])
    space = parse_space(config)

    first = first_points(space, config, n=4)

    assert first == first_points(space, config, n=4)
    assert len(first) == 4
    assert all(point["lora.rank"] <= 8 for point in first)
    assert all(point["lora.alpha"] in {point["lora.rank"], 2 * point["lora.rank"]} for point in first)


def test_a_range_without_steps_has_no_end_and_a_grid_is_counted_by_hand() -> None:
    joint, ranks = compose(["+sweep=joint", "model=tiny"]), compose(["+sweep=rank_alpha", "model=tiny"])

    assert n_points(parse_space(joint), joint) is None
    assert n_points(parse_space(ranks), ranks) == 4 * 2


def test_cells_that_are_rejected_are_counted_and_not_looked_at() -> None:
    config = compose(["+sweep=rank_alpha", "model=tiny", "sweep.reject='lora.rank > 8'"])
    space = parse_space(config)

    (found,) = left_out(space, config)

    assert (found.why, found.n, found.of, found.unit) == ("lora.rank > 8", 4, 8, "cells")
    assert len(looked_at(space, config)) == 4


def test_alpha_and_rate_do_not_make_another_size() -> None:
    words = (["lora.alpha=8"], ["lora.alpha=16"], ["train.learning_rate=1e-5"], ["lora.rank=4"])

    found = different([({"words": str(own)}, compose(own)) for own in words])

    assert [point["words"] for point, _ in found] == ["['lora.alpha=8']", "['lora.rank=4']"]


def test_a_probe_is_refused_until_there_is_one(tmp_path: Path) -> None:
    done = tune("plan", "plan.probe=true", folder=tmp_path / "runs")

    assert done.returncode == 2
    assert "plan.probe=true is not allowed" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "low", "high"), [("none", 16, 20), ("nf4", 7, 10)])
def test_llama_is_planned_without_gpu_and_weights_as_published(tmp_path: Path, kind: str, low: int, high: int) -> None:
    found = plan(*LLAMA, *ONE_AT_A_TIME, f"quantization={kind}", folder=tmp_path / "runs")

    assert found["largest"]["trainable"] == 41_943_040  # PEFT's own count for rank 16 on all linear layers
    assert 0.85 * low * GB <= found["largest"]["peak_gib"] <= 1.15 * high * GB
    assert any(row["what"].startswith("model Llama-3.1-8B") for row in found["disk"])
    assert "no tokenizer was read" in found["notes"][0]


@pytest.mark.slow
def test_the_joint_sweep_is_planned_for_llama(tmp_path: Path) -> None:
    found = plan("+sweep=joint", "model=llama31_8b", "quantization=nf4", folder=tmp_path / "runs")

    assert (found["n_points"], found["n_trials"], len(found["first"])) == (None, 24, 5)
    assert found["largest"]["point"]["lora.targets"] == "all_linear"
    assert found["largest"]["trainable"] == 4 * 41_943_040  # rank 64
