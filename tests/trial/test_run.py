"""A trial on the tiny model: what it reports, and that nothing leaks from one trial into the next."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tune.config import metrics
from tune.data.mask import tokenize
from tune.errors import DataError, Diverged, Pruned
from tune.examples import Example, Message
from tune.model import adapt
from tune.model.adapter_folder import WEIGHTS
from tune.track.memory_store import MemoryStore
from tune.track.recorder import RunRecorder
from tune.trial.bench import Bench, open_bench
from tune.trial.measure import measure
from tune.trial.outcome import Outcome, State
from tune.trial.run import run_trial
from tune.trial.task import model_folder, read_task
from tune.trial.training import Searched


@pytest.fixture
def run(bench: Bench, small) -> Callable[..., Outcome]:
    """Run a small trial with some settings changed."""

    def one(folder: Path, *overrides: str, recorder: RunRecorder | None = None) -> Outcome:
        recorder = recorder or MemoryStore().trial_run(name="t", study_run_id=None, tags={})
        return run_trial(small(*overrides), bench, folder=folder, recorder=recorder, on=lambda *_: None)

    return one


def adapter_digest(folder: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted((folder / "adapter").iterdir()))).hexdigest()


def base_digest(bench: Bench) -> str:
    state = bench.base.model.state_dict()
    return hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(state))).hexdigest()


def test_a_trial_reports_exactly_the_metrics_that_are_promised(run, small, tmp_path: Path) -> None:
    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})

    outcome = run(tmp_path, recorder=recorder)

    assert outcome.state is State.complete
    assert set(outcome.metrics) == set(metrics.metric_names(small()))
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert len(scores["adapted"]["scores"]["execution"]) == 4
    assert len(scores["adapted"]["scores"]["general/right"]) == 57
    steps = recorder._run.points["train/step_loss"]
    assert [point.step for point in steps] == [1, 2, 3]


def test_the_run_tells_which_layers_were_adapted_and_how_much_of_the_model_is_trained(run, tmp_path: Path) -> None:
    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})

    outcome = run(tmp_path, "lora.rank=4", "lora.targets=q+v", "lora.layers=top 1", recorder=recorder)

    assert recorder._run.tags["tune.targets"] == "self_attn.q_proj, self_attn.v_proj in blocks 1"
    # A is (4, 64) for both, B is (64, 4) for q and (32, 4) for v
    assert outcome.metrics["cost/trainable_params"] == 4 * 64 + 64 * 4 + 4 * 64 + 32 * 4
    assert 0 < outcome.metrics["cost/trainable_share"] < 0.01


def test_the_loss_of_a_seeded_trial_is_what_it_was(run, tmp_path: Path) -> None:
    # Kept so that a refactor that changes the numbers is seen; measured 2026-11 on CPU in float32.
    outcome = run(tmp_path)

    assert outcome.metrics["train/loss"] == pytest.approx(KEPT_LOSS, abs=2e-3)
    assert outcome.metrics["eval/loss"] == pytest.approx(KEPT_EVAL_LOSS, abs=2e-3)


def test_measuring_on_the_way_changes_nothing_and_finds_what_the_end_finds(run, tmp_path: Path) -> None:
    # Twelve examples in batches of four: three steps, so a trial of two steps ends where the second measurement is.
    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})
    words = ("lora.dropout=0.1", "train.schedule=constant", "train.warmup_share=0")
    plain, shorter = run(tmp_path / "a", *words), run(tmp_path / "b", *words, "train.max_steps=2")

    measured = run(tmp_path / "c", *words, "train.evals=2", recorder=recorder)

    assert adapter_digest(tmp_path / "c") == adapter_digest(tmp_path / "a")
    assert measured.metrics["train/loss"] == plain.metrics["train/loss"]
    points = recorder._run.points["eval/step_loss"]
    assert [point.step for point in points] == [1, 2]
    assert points[1].value == pytest.approx(shorter.metrics["eval/loss"], abs=1e-6)


def test_a_pruned_trial_leaves_no_adapter_and_no_checkpoint(small, bench: Bench, tmp_path: Path) -> None:
    seen = []

    def stop(evals) -> None:
        seen.append([each.step for each in evals])
        assert (tmp_path / "checkpoints").is_dir()
        if evals[-1].index == 2:
            raise Pruned(step=evals[-1].step, loss=evals[-1].loss)

    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})
    config = small("train.evals=2", "workers.checkpoint_s=0", "train.epochs=2")
    before = base_digest(bench)

    searched = Searched(whole_steps=nullcontext, on_eval=stop)
    with pytest.raises(Pruned, match="stopped after step 4"):
        run_trial(config, bench, folder=tmp_path, recorder=recorder, on=lambda *_: None, searched=searched)

    assert seen == [[2], [2, 4]]
    assert not list(tmp_path.iterdir())
    assert base_digest(bench) == before


def test_a_second_trial_on_the_same_base_equals_the_first(run, bench: Bench, tmp_path: Path) -> None:
    before = base_digest(bench)

    first = run(tmp_path / "a", "lora.dropout=0.1")
    run(tmp_path / "between", "lora.rank=3", "lora.targets=qv", "seed=5")
    second = run(tmp_path / "b", "lora.dropout=0.1")

    assert adapter_digest(tmp_path / "a") == adapter_digest(tmp_path / "b")
    costs = set(metrics.COSTS)
    assert {k: v for k, v in first.metrics.items() if k not in costs} == {
        k: v for k, v in second.metrics.items() if k not in costs
    }
    assert base_digest(bench) == before


def test_another_seed_gives_another_adapter(run, tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", "seed=1")

    assert adapter_digest(tmp_path / "a") != adapter_digest(tmp_path / "b")


def test_a_diverging_trial_says_so_publishes_nothing_and_leaves_the_base_whole(
    run, bench: Bench, tmp_path: Path
) -> None:
    before = base_digest(bench)

    with pytest.raises(Diverged, match="at step"):
        run(tmp_path, "train.learning_rate=1e30", "train.epochs=3")

    assert not (tmp_path / "adapter").exists()
    assert base_digest(bench) == before
    assert not any("lora" in name for name, _ in bench.base.model.named_modules())


def test_examples_that_are_too_long_are_left_out_and_counted(run, bench: Bench, tmp_path: Path) -> None:
    lengths = sorted(len(tokenize(bench.base.tokenizer, e).ids) for e in bench.task.splits.train)

    outcome = run(tmp_path, f"train.max_length={lengths[-1] - 1}")

    n_longest = lengths.count(lengths[-1])
    assert any(note.startswith(f"{n_longest} of 12 examples are longer") for note in outcome.notes)
    with pytest.raises(DataError, match="every example is longer"):
        run(tmp_path, "train.max_length=8")


def test_data_template_is_what_the_bench_writes_with(bench: Bench, small) -> None:
    config = small("data.template=plain")

    other = open_bench(config, bench.task, folder=model_folder(config, announce=print))

    tokens = tokenize(
        other.base.tokenizer, Example(id="e", messages=(Message(role="user", content="hi"),), answer="ok")
    )
    assert other.base.tokenizer.decode(tokens.ids) == "hi\nok<|im_end|>"
    assert other.model_key != bench.model_key


def test_general_knowledge_may_be_left_unmeasured(small, bench: Bench, tmp_path: Path) -> None:
    config = small("evaluate.general=none", "evaluate.perplexity=false", "evaluate.corpus=null")
    quiet = dataclasses.replace(bench, task=read_task(config))
    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})

    outcome = run_trial(config, quiet, folder=tmp_path, recorder=recorder, on=lambda *_: None)

    assert set(outcome.metrics) == set(metrics.metric_names(config))
    assert not any(name.startswith(("general", "perplexity")) for name in outcome.metrics)


@pytest.mark.usefixtures("cache")
def test_a_saved_adapter_of_a_four_bit_base_gives_the_same_scores(small, tmp_path: Path) -> None:
    config = small("quantization=nf4", "train.learning_rate=1e-2")
    task = read_task(config)
    bench = open_bench(config, task, folder=model_folder(config, announce=print))
    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})

    outcome = run_trial(config, bench, folder=tmp_path, recorder=recorder, on=lambda *_: None)

    assert outcome.metrics["eval/loss"] < outcome.metrics["eval/loss_base"]
    assert {tensor.dtype for tensor in load_file(tmp_path / "adapter" / WEIGHTS).values()} == {torch.float32}
    adapted = adapt.reload(bench.base, tmp_path / "adapter")
    again = measure(adapted.model, bench.base.tokenizer, config, task, fingerprint="x", on=lambda *_: None)
    assert again.surprise.loss == pytest.approx(outcome.metrics["eval/loss"], abs=1e-6)


KEPT_LOSS = 8.2920
KEPT_EVAL_LOSS = 7.8300
