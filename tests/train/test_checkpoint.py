"""A training that was stopped goes on as if it never had been: the same losses, the same bytes."""

import dataclasses
import hashlib
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerFast

from tests.llama import llama
from tune.config.method import RATE_FACTOR
from tune.config.recipe import TrainConfig
from tune.errors import Diverged, Interrupted
from tune.files import write_manifest
from tune.train.checkpoint import Checkpoints
from tune.train.evals import Eval
from tune.train.fit import Fitted, fit
from tune.train.watch import Follow

# Two batches an optimizer step, three steps an epoch, the last step of an epoch has one batch alone.
TRAIN = TrainConfig(batch_size=2, accumulation=2, epochs=3, learning_rate=1e-2, weight_decay=0.1)
ROWS = Dataset.from_list(
    [{"input_ids": [4 + n, 5, 6 + n, 7, 8], "labels": [-100, -100, 6 + n, 7, 8]} for n in range(10)]
)


def network() -> Any:
    model = llama(seed=0)
    adapter = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.2, target_modules=["q_proj", "v_proj"])
    return get_peft_model(model, adapter)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models

    inner = Tokenizer(models.WordLevel({str(number): number for number in range(32)}, unk_token="0"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="0", eos_token="1")


@pytest.fixture
def train(tokenizer: PreTrainedTokenizerFast) -> Callable[..., tuple[Fitted, str]]:
    """Train a fresh network, which another process would have; return what was done and a digest of the adapter."""

    def run(
        checkpoints: Checkpoints | None = None, *, stop_at: int | None = None, b_faster: float | None = None
    ) -> tuple[Fitted, str]:
        def on_step(step: int, _total: int, _loss: float) -> None:
            if step == stop_at:
                msg = "preempted"
                raise Interrupted(msg)

        model = network()
        for name, parameter in model.named_parameters():
            if b_faster and ".lora_B." in name:
                setattr(parameter, RATE_FACTOR, b_faster)
        fitted = fit(model, tokenizer, ROWS, TRAIN, seed=3, follow=Follow(on_step=on_step, checkpoints=checkpoints))
        state = [p.detach().numpy().tobytes() for _, p in sorted(model.named_parameters()) if p.requires_grad]
        return fitted, hashlib.sha256(b"".join(state)).hexdigest()

    return run


@pytest.mark.parametrize("stop_at", [1, 3, 5, 8])
def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path: Path, train, stop_at: int) -> None:
    # With dropout, accumulation and weight decay; in the middle and at the end of an epoch, and in a later one.
    unbroken, digest = train()
    checkpoints = Checkpoints(tmp_path, recipe="r")

    with pytest.raises(Interrupted):
        train(checkpoints, stop_at=stop_at)
    torch.manual_seed(99)  # another process has drawn other numbers
    resumed, again = train(checkpoints)

    assert unbroken.steps == resumed.steps == 9
    assert resumed.losses == unbroken.losses
    assert again == digest
    assert resumed.n_tokens == unbroken.n_tokens


def test_a_training_with_a_rate_of_its_own_for_b_goes_on_to_the_same_bytes(tmp_path: Path, train) -> None:
    unbroken, digest = train(b_faster=4.0)
    checkpoints = Checkpoints(tmp_path, recipe="r")

    with pytest.raises(Interrupted):
        train(checkpoints, stop_at=4, b_faster=4.0)
    resumed, again = train(checkpoints, b_faster=4.0)

    assert resumed.losses == unbroken.losses
    assert again == digest
    assert digest != train()[1], "the rate makes a difference"


@pytest.mark.parametrize(("stop_at", "in_eval"), [(3, False), (3, True), (4, False), (7, False)])
def test_a_stopped_training_goes_on_with_the_same_measurements(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, stop_at: int, in_eval: bool
) -> None:
    # With two measurements in nine steps they are due after steps 3 and 6; a stop at 3 comes before or inside one.
    def go(folder: Path, stop_at: int | None) -> tuple[Fitted, list[Sequence[Eval]]]:
        model, told = network(), []

        def stop(step: int, _total: int, _loss: float) -> None:
            if step == stop_at and not in_eval:
                raise Interrupted

        def measure() -> float:
            if in_eval and stop_at is not None:
                raise Interrupted
            return float(sum(p.detach().norm() for p in model.parameters() if p.requires_grad))

        follow = Follow(on_step=stop, checkpoints=Checkpoints(folder, recipe="r"), measure=measure, on_eval=told.append)
        train = dataclasses.replace(TRAIN, evals=2)
        return fit(model, tokenizer, ROWS, train, seed=3, follow=follow), told

    unbroken, all_told = go(tmp_path / "unbroken", None)
    with pytest.raises(Interrupted):
        go(tmp_path / "stopped", stop_at)
    resumed, _ = go(tmp_path / "stopped", None)

    assert [(each.index, each.step) for each in unbroken.evals] == [(1, 3), (2, 6)]
    assert resumed.evals == unbroken.evals
    assert resumed.losses == unbroken.losses
    assert [len(told) for told in all_told] == [1, 2]


def test_a_training_that_was_stopped_twice(tmp_path: Path, train) -> None:
    checkpoints = Checkpoints(tmp_path, recipe="r")
    for step in (2, 6):
        with pytest.raises(Interrupted):
            train(checkpoints, stop_at=step)

    assert train(checkpoints)[1] == train()[1]


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, train) -> None:
    checkpoints = Checkpoints(tmp_path, recipe="r", every_s=0)
    with pytest.raises(Interrupted):
        train(checkpoints, stop_at=5)
    newest = tmp_path / "step-00000005"
    assert checkpoints.newest() == newest
    content = bytearray((newest / "adapter.safetensors").read_bytes())
    content[-1] ^= 1
    (newest / "adapter.safetensors").write_bytes(content)

    assert checkpoints.newest() == tmp_path / "step-00000004"
    assert train(checkpoints)[1] == train()[1]


@pytest.mark.parametrize("harm", ["truncate", "delete", "no manifest"])
def test_what_is_not_whole_is_not_used(tmp_path: Path, harm: str) -> None:
    checkpoints = Checkpoints(tmp_path, recipe="r")
    checkpoints.write(7, lambda folder: (folder / "a").write_bytes(b"12345") and None)
    place = tmp_path / "step-00000007"
    if harm == "truncate":
        (place / "a").write_bytes(b"123")
    elif harm == "delete":
        (place / "a").unlink()
    else:
        (place / "manifest.json").unlink()

    assert checkpoints.newest() is None


def test_a_fixed_number_is_kept_and_none_of_another_recipe_is_used(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, recipe="r", keep=2)
    for step in (1, 2, 3):
        checkpoints.write(step, lambda folder: (folder / "a").write_text("x") and None)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    assert Checkpoints(tmp_path, recipe="other").newest() is None
    checkpoints.clear()
    assert checkpoints.newest() is None


def test_a_write_that_dies_half_way_leaves_the_last_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, recipe="r")
    checkpoints.write(1, lambda folder: (folder / "a").write_text("x") and None)

    def fill(folder: Path) -> None:
        (folder / "a").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        checkpoints.write(2, fill)

    assert checkpoints.newest() == tmp_path / "step-00000001"
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"], "what was written has made room"


def test_no_pickle_is_in_a_checkpoint(tmp_path: Path, train) -> None:
    with pytest.raises(Interrupted):
        train(Checkpoints(tmp_path, recipe="r"), stop_at=2)

    names = {path.suffix for path in (tmp_path / "step-00000002").iterdir()}
    assert names == {".safetensors", ".json"}


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def stopped(folder: Path, train) -> Path:
    """Return the newest checkpoint of a training that was stopped."""
    checkpoints = Checkpoints(folder / "checkpoints", recipe="r")
    with pytest.raises(Interrupted):
        train(checkpoints, stop_at=5)
    newest = checkpoints.newest()
    assert newest is not None
    return newest


def test_pickles_in_a_checkpoint_are_left_alone(tmp_path: Path, train) -> None:
    newest, trace = stopped(tmp_path, train), tmp_path / "ran"
    # What transformers itself would go on from.
    names = ["optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "rng_state_0.pth", "training_args.bin"]
    for name in [*names, "pytorch_model.bin", "adapter_model.bin", "optimizer.bin"]:
        (newest / name).write_bytes(pickle.dumps(Bomb(trace)))

    resumed, digest = train(Checkpoints(tmp_path / "checkpoints", recipe="r"))

    assert (resumed.steps, digest) == (9, train()[1])
    assert not trace.exists()


@pytest.mark.parametrize("name", ["adapter.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"])
def test_a_pickle_under_the_name_of_a_checkpoints_file_is_not_unpickled(tmp_path: Path, train, name: str) -> None:
    newest, trace = stopped(tmp_path, train), tmp_path / "ran"
    (newest / name).write_bytes(pickle.dumps(Bomb(trace)))
    write_manifest(newest, "r")  # whoever planted it knows how

    with pytest.raises((SafetensorError, ValueError)):
        train(Checkpoints(tmp_path / "checkpoints", recipe="r"))
    assert not trace.exists()


def test_an_overflow_that_a_norm_hides_is_a_divergence(tmp_path: Path, train, monkeypatch: pytest.MonkeyPatch) -> None:
    # Adam's steps are as large as the rate; x / inf is 0 in RMSNorm, and all 32 tokens become equally likely.
    monkeypatch.setattr(TRAIN, "learning_rate", 1e15)

    with pytest.raises(Diverged, match=r"loss 3\.46\d* without any gradient at step"):
        train(Checkpoints(tmp_path, recipe="r"))
