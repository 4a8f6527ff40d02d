"""A whole trial with every method: what is scored is what is saved, and the base is left as it was."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trial.conftest import SMALL
from tune.config.method import WITHOUT_LAYERS, Method
from tune.errors import Interrupted
from tune.model import adapt
from tune.track.memory_store import MemoryStore
from tune.trial.bench import Bench, open_bench
from tune.trial.measure import Measured, measure
from tune.trial.outcome import Outcome
from tune.trial.run import run_trial
from tune.trial.training import Searched

OWN = {
    Method.prompt: ["train.learning_rate=0.1"],  # virtual tokens want a larger rate: Lester et al. 2021 take 0.3
    Method.eva: ["lora.rank=4"],  # a layer may get twice the rank, and the toy's are narrow
    Method.loftq: ["quantization=nf4"],
}


def base_digest(bench: Bench) -> str:
    state = bench.base.model.state_dict()
    return hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(state))).hexdigest()


def run(config, bench: Bench, folder: Path, *, stop_at: int | None = None) -> Outcome:
    from contextlib import nullcontext

    def on(phase: str, done: int, _total: int) -> None:
        if phase == "train" and done == stop_at:
            msg = "preempted"
            raise Interrupted(msg)

    recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})
    return run_trial(config, bench, folder=folder, recorder=recorder, on=on, searched=Searched(whole_steps=nullcontext))


def dropped(method: Method) -> list[str]:
    return [] if method in WITHOUT_LAYERS else ["lora.dropout=0.1"]


@pytest.mark.parametrize("method", Method)
def test_what_is_scored_is_what_is_saved_and_the_base_is_left_alone(
    bench: Bench, small, tmp_path: Path, method: Method
) -> None:
    config = small(f"lora={method}", *dropped(method), *OWN.get(method, ()))
    if method is Method.loftq:
        bench = open_bench(config, bench.task, folder=bench.folder)
    before = base_digest(bench)

    outcome = run(config, bench, tmp_path)

    assert outcome.metrics["eval/loss"] < outcome.metrics["eval/loss_base"]
    assert base_digest(bench) == before
    adapted = adapt.reload(bench.base, tmp_path / "adapter")
    again = measure(adapted.model, bench.base.tokenizer, config, bench.task, fingerprint="x", on=lambda *_: None)
    adapt.detach(adapted)
    assert again.surprise.loss == outcome.metrics["eval/loss"]
    assert base_digest(bench) == before


@pytest.mark.parametrize(
    "method", [Method.dora, Method.pissa, Method.lora_plus, Method.full, Method.prompt, Method.prefix]
)
def test_a_stopped_trial_goes_on_to_the_same_adapter(bench: Bench, small, tmp_path: Path, method: Method) -> None:
    config = small(f"lora={method}", *dropped(method))
    run(config, bench, tmp_path / "unbroken")

    with pytest.raises(Interrupted):
        run(config, bench, tmp_path / "broken", stop_at=2)
    run(config, bench, tmp_path / "broken")

    adapters = [
        next((tmp_path / which / "adapter").glob("*.safetensors")).read_bytes() for which in ("unbroken", "broken")
    ]
    assert adapters[0] == adapters[1]


def test_modules_that_are_trained_in_full_are_scored_as_a_new_process_scores_them(
    bench: Bench, small, tmp_path: Path, cache: Path
) -> None:
    words = ["lora.modules_to_save=embed_tokens+norm", "train.learning_rate=1e-2"]
    before = base_digest(bench)
    outcome = run(small(*words), bench, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        run(small(*words), bench, tmp_path / "broken", stop_at=2)
    run(small(*words), bench, tmp_path / "broken")

    script = Path(__file__).parents[1] / "promises" / "reload_and_measure.py"
    command = [sys.executable, str(script), str(tmp_path / "broken" / "adapter"), *SMALL, *words]
    environment = os.environ | {"TUNE_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)

    assert base_digest(bench) == before
    saved = [
        (tmp_path / which / "adapter" / "adapter_model.safetensors").read_bytes() for which in ("unbroken", "broken")
    ]
    assert saved[0] == saved[1]
    assert "Trained in full beside the adapter: embed_tokens, norm" in " ".join(outcome.notes)
    assert done.returncode == 0, done.stderr
    again = Measured.from_json(json.loads(done.stdout.splitlines()[-1]))
    live = Measured.from_json(json.loads((tmp_path / "broken" / "scores.json").read_text())["adapted"])
    assert again.replies == live.replies
    assert again.surprise.loss == live.surprise.loss == outcome.metrics["eval/loss"]


def test_galore_trains_all_weights_and_a_stopped_trial_goes_on_to_the_same_ones(
    bench: Bench, small, tmp_path: Path
) -> None:
    pytest.importorskip("galore_torch")
    before = base_digest(bench)
    config = small("lora=full", "train.optimizer=galore", "train.galore_rank=8")
    outcome = run(config, bench, tmp_path / "unbroken")

    with pytest.raises(Interrupted):
        run(config, bench, tmp_path / "broken", stop_at=2)
    run(config, bench, tmp_path / "broken")

    saved = [(tmp_path / which / "adapter" / "model.safetensors").read_bytes() for which in ("unbroken", "broken")]
    assert saved[0] == saved[1]
    assert outcome.metrics["eval/loss"] < outcome.metrics["eval/loss_base"]
    assert base_digest(bench) == before
