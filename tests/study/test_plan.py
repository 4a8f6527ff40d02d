"""What `python -m tune plan` says, asked from the command line: nothing is trained, fetched or left behind."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.promises.study_process import SMALL, tune
from tune.config.compose import compose
from tune.study import timing
from tune.study.candidates import first_points, left_out, looked_at, n_points
from tune.study.plan import make_plan
from tune.study.space import parse_space
from tune.trial.forecast import read_lengths
from tune.trial.probe import Probed
from tune.trial.sizes import Rows, different, measure_sizes
from tune.trial.task import model_folder, read_task

GB = 10**9 / 1024**3
LLAMA = ["model=llama31_8b", "train.max_length=512", "train.batch_size=1", "train.gradient_checkpointing=true"]
ONE_AT_A_TIME = ["evaluate.batch_size=1", "evaluate.generation_batch_size=1", "model.device=cuda"]


def plan(*words: str, folder: Path) -> dict[str, Any]:
    done = tune("plan", *words, "report.format=json", "plan.probe=false", folder=folder, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert "kernels" not in done.stderr, "what bitsandbytes says of kernels that nobody needs"
    assert not folder.exists(), "a plan leaves nothing behind"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_grid_is_planned_with_all_its_cells(tmp_path: Path) -> None:
    found = plan("+sweep=smoke", *SMALL, "lora.rank=64", folder=tmp_path / "runs")

    assert any(note.startswith("No trial is run with lora.rank=64: every point") for note in found["notes"])
    assert (found["n_points"], found["n_trials"], found["n_estimated"]) == (2, 2, 2)
    assert found["first"] == [{"lora.rank": 2, "seed": 0}, {"lora.rank": 4, "seed": 0}]
    # tiny has two blocks; rank 2 on q, k, v, o, gate, up, down of 64, 32 and 128: 2 * 2 * (128+96+96+128+3*192)
    smallest, as_set, largest = found["sizes"]
    assert smallest["trainable"] == 2 * 2 * (2 * 128 + 2 * 96 + 3 * 192)
    assert largest["trainable"] == 2 * smallest["trainable"]
    assert as_set["point"]["lora.rank"] == 64  # which nobody runs, as the note says
    assert as_set["trainable"] == 32 * smallest["trainable"]
    assert [size["name"] for size in found["on_gpu"]] == ["smallest", "as set", "largest"]
    assert found["left_out"] == []


def test_a_limit_of_memory_says_how_many_are_above_it(tmp_path: Path) -> None:
    words = ["+sweep=smoke", "workers.memory_gib=0.1", "plan.probe=false"]
    done = tune("plan", *words, folder=tmp_path / "runs")

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


def test_points_are_counted_without_looking_at_each() -> None:
    config = compose(["+sweep=smoke", "model=tiny", "study.sampler=random", "study.n_trials=2"])
    assert config.sweep is not None
    config.sweep.space = {
        "data.n_train": {"low": 1, "high": 10**6},
        "lora.rank": {"low": 1, "high": 10**6},
        "lora.alpha": {"times": "lora.rank", "choices": [1, 2]},
        "quantization.kind": ["none", "nf4"],
        "quantization.double": {"choices": [True, False], "when": {"quantization.kind": ["nf4"]}},
    }

    assert n_points(parse_space(config), config) == 10**6 * 10**6 * 2 * (1 + 2)


def test_cells_that_are_rejected_are_counted_and_not_looked_at() -> None:
    config = compose(["+sweep=rank_alpha", "model=tiny", "sweep.reject='lora.rank > 8'"])
    space = parse_space(config)

    (found,) = left_out(space, config)

    assert (found.why, found.n, found.of, found.unit) == ("lora.rank > 8", 4, 8, "cells")
    assert len(looked_at(space, config)) == 4


def test_memory_is_for_the_longest_row_that_is_there() -> None:
    config = compose(["model=tiny", *SMALL, "train.max_length=2048", "train.batch_size=64"])
    rows = Rows()

    (real,) = measure_sizes([({}, config)], rows=rows, on_gpu=False, on=lambda *_: None).sized
    (most,) = measure_sizes([({}, config)], rows=None, on_gpu=False, on=lambda *_: None).sized

    assert rows.why_not == ""
    assert real.longest is not None
    assert (
        real.longest == read_lengths(config, read_task(config), model_folder(config, announce=print))[0].example < 2048
    )
    assert real.estimate.peak < most.estimate.peak
    assert most.longest is None


def test_rows_that_cannot_be_read_say_why_and_the_settings_most_are_taken(tmp_path: Path) -> None:
    bad = tmp_path / "rows.jsonl"
    bad.write_text('{"question": "a", "answer"\n')
    rows = Rows()

    assert rows.of(compose(["model=tiny", "data=jsonl", f"data.path={bad}"])) is None
    assert "rows.jsonl" in rows.why_not
    assert Rows().of(compose(["model=llama31_8b"])) is None


@pytest.mark.parametrize(("words", "copies"), [([], 2), (["track.uri=http://localhost:5"], 1)])
def test_mlflows_copy_of_each_adapter_is_counted_where_it_is_on_this_disk(words: list[str], copies: int) -> None:
    config = compose(["+sweep=smoke", "model=tiny", "plan.probe=false", *words])

    disk = [row for row in make_plan(config, lambda *_: None).disk if row.what.startswith("adapters")]

    assert len(disk) == copies
    assert len({(row.low_gib, row.high_gib) for row in disk}) == 1


def test_alpha_and_rate_do_not_make_another_size() -> None:
    words = (["lora.alpha=8"], ["lora.alpha=16"], ["train.learning_rate=1e-5"], ["lora.rank=4"])

    found = different([({"words": str(own)}, compose(own)) for own in words])

    assert [point["words"] for point, _ in found] == ["['lora.alpha=8']", "['lora.rank=4']"]


def test_a_probe_says_how_long_and_what_it_costs(tmp_path: Path) -> None:
    words = ["+sweep=smoke", *SMALL, "plan.price_per_hour=3600", "report.format=json"]
    done = tune("plan", *words, folder=tmp_path / "runs")

    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "runs").exists()
    found = json.loads(done.stdout)
    assert re.fullmatch(r"Memory is for the rows as they are: the longest .* has \d+ tokens\.", found["notes"][0])
    time = found["time"]
    assert 0 < time["step_low_s"] <= time["step_high_s"] < time["trial_low_s"] <= time["trial_high_s"]
    assert time["trial_high_s"] < time["total_low_s"] + time["trial_high_s"] - time["trial_low_s"]
    # 3600 an hour is 1 a second
    assert (time["cost_low"], time["cost_high"]) == (time["total_low_s"], time["total_high_s"])


def test_a_trial_that_cannot_run_is_not_timed_and_says_why(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "a", "answer"\n')
    words = ["model=tiny", "data=jsonl", f"data.path={rows}", "report.format=json"]
    done = tune("plan", *words, folder=tmp_path / "runs")

    found = json.loads(done.stdout)
    assert found["time"] is None
    assert any("Seconds a step were not measured" in note and "rows.jsonl" in note for note in found["notes"])


def test_a_trial_is_its_steps_its_evaluations_on_the_way_and_its_scores() -> None:
    seen = Probed(start_s=9, step_s=(2, 3), n_steps=10, evaluate_s=7, eval_s=0.5, n_evals=4, took_s=1)

    assert seen.trial_s(2) == 10 * 2 + 4 * 0.5 + 7


def test_trials_are_counted_in_rounds_of_workers_after_one_start_and_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose(["+sweep=smoke", "workers.count=2", "plan.price_per_hour=36", "evaluate.finalists=2"])
    seen = Probed(start_s=10, step_s=(1.0, 2.0), n_steps=10, evaluate_s=5, eval_s=0, n_evals=0, took_s=1, final_s=6)
    monkeypatch.setattr(timing, "_probe_all", lambda *_, **__: ([seen], ""))

    time, why = timing.measure_time(config, [config], n_trials=5)

    assert why is None
    assert time is not None
    # start 10, base 5, three rounds of two workers: 3 * (10 * 1 + 5) = 45 and 3 * (10 * 2 + 5) = 75; then the finals:
    # the base, and two forms of two trials: 5 * 6 = 30
    assert (time.total_low_s, time.total_high_s) == (90, 120)
    assert (time.cost_low, time.cost_high) == (0.9, 1.2)  # 36 an hour are 0.01 a second


def test_a_model_that_is_not_here_is_not_fetched_to_be_timed() -> None:
    config = compose(["+sweep=joint", "model=llama31_8b"])

    assert timing.measure_time(config, [config], n_trials=5) == (
        None,
        "Seconds a step were not measured: Llama-3.1-8B-Instruct is not on this machine.",
    )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "low", "high"), [("none", 16, 20), ("nf4", 7, 10)])
def test_llama_is_planned_without_gpu_and_weights_as_published(tmp_path: Path, kind: str, low: int, high: int) -> None:
    found = plan(*LLAMA, *ONE_AT_A_TIME, f"quantization={kind}", folder=tmp_path / "runs")

    (size,) = found["sizes"]
    assert size["trainable"] == 41_943_040  # PEFT's own count for rank 16 on all linear layers
    assert 0.85 * low * GB <= size["peak_gib"] <= 1.15 * high * GB
    assert any(row["what"].startswith("model Llama-3.1-8B") for row in found["disk"])
    assert "no tokenizer was read" in found["notes"][0]


@pytest.mark.slow
def test_the_joint_sweep_is_planned_for_llama(tmp_path: Path) -> None:
    found = plan("+sweep=joint", *LLAMA, *ONE_AT_A_TIME, "quantization=nf4", folder=tmp_path / "runs")

    assert (found["n_points"], found["n_trials"], len(found["first"])) == (None, 24, 5)
    _, as_set, largest = found["sizes"]
    assert largest["point"]["lora.targets"] == "all_linear"
    assert largest["trainable"] == 4 * 41_943_040  # rank 64
    assert as_set["trainable"] == 41_943_040  # rank 16, as it is configured
    assert 0.85 * 7 * GB <= as_set["peak_gib"] <= 1.15 * 10 * GB
