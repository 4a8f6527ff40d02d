"""A training that ends early keeps its best weights, and one that was stopped anywhere goes on to the same ones."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.toy import ROWS, TRAIN, network, tokenizer
from tune.config.early_stopping import EarlyStoppingConfig
from tune.config.recipe import Schedule, TrainConfig
from tune.errors import Interrupted
from tune.train.best import BestWeights
from tune.train.checkpoint import Checkpoints
from tune.train.evals import Eval
from tune.train.fit import Fitted, fit
from tune.train.watch import Follow

# Nine steps; eight measurements come after each but the last.
RECIPE = replace(TRAIN, learning_rate=1e-2, evals=8, early_stopping=EarlyStoppingConfig(patience=2))
VALLEY = [9.0, 5.0, 3.0, 4.0, 2.0, 6.0, 7.0, 8.0, 1.0]
"""Lowest of the first seven after step 5; two that are not lower follow, so the training ends after step 7."""


class Killed(BaseException):
    """The process is gone: nobody catches it, and nothing is written any more."""


@dataclass(frozen=True)
class Cut:
    """How a training is cut off."""

    step: int
    by: type[BaseException] = Interrupted
    in_eval: bool = False
    """While the validation loss is measured after this step, and not before."""

    def meets(self, step: int, *, in_eval: bool) -> None:
        if (step, in_eval) == (self.step, self.in_eval):
            raise self.by


def train(
    folder: Path,
    curve: Sequence[float] = VALLEY,
    *,
    recipe: TrainConfig = RECIPE,
    cut: Cut | None = None,
    every_s: float = 1e9,
    at_step: dict[int, str] | None = None,
) -> tuple[Fitted, str]:
    """Train a fresh network whose validation loss is drawn; return what was done and a digest of its weights."""
    model, steps = network(width=32, rank=4), [0]

    def digest() -> str:
        state = [p.detach().numpy().tobytes() for _, p in sorted(model.named_parameters()) if p.requires_grad]
        return hashlib.sha256(b"".join(state)).hexdigest()

    def on_step(step: int, _total: int, _loss: float) -> None:
        steps[0] = step
        if cut:
            cut.meets(step, in_eval=False)

    def measure() -> float:
        step = steps[0] or resumed_at
        if cut:
            cut.meets(step, in_eval=True)
        if at_step is not None:
            at_step[step] = digest()
        return curve[step - 1]

    checkpoints = Checkpoints(folder, recipe="r", every_s=every_s)
    newest = checkpoints.newest()
    resumed_at = int(newest.name.removeprefix("step-")) if newest else 0
    follow = Follow(on_step=on_step, checkpoints=checkpoints, best=BestWeights(folder, recipe="r"), measure=measure)
    return fit(model, tokenizer(), ROWS, recipe, seed=3, follow=follow), digest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_ends_after_so_many_measurements_and_has_the_weights_of_the_lowest(tmp_path: Path) -> None:
    seen: dict[int, str] = {}

    fitted, digest = train(tmp_path, at_step=seen)

    assert (fitted.steps, fitted.planned_steps, len(fitted.losses)) == (7, 9, 7)
    assert fitted.kept == Eval(index=5, step=5, loss=2.0)
    assert [each.loss for each in fitted.evals] == VALLEY[:7]
    assert digest == seen[5] != seen[7]
    assert names(tmp_path) == ["best-00000005", "step-00000007"]


def test_it_says_what_was_truly_trained(tmp_path: Path) -> None:
    # Ten rows in batches of two, two batches a step and one in the last of an epoch's three: seven steps are two
    # epochs and two of five batches, 2.4 epochs.
    fitted, _ = train(tmp_path)

    n_tokens = sum(len(row["input_ids"]) for row in ROWS)
    assert fitted.n_tokens == round(2.4 * n_tokens)


@pytest.mark.parametrize(("last", "kept"), [(1.0, 9), (2.5, 8)])
def test_the_end_is_measured_too_and_the_best_of_all_is_kept(tmp_path: Path, last: float, kept: int) -> None:
    seen: dict[int, str] = {}

    fitted, digest = train(tmp_path, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, last], at_step=seen)

    assert (fitted.steps, len(fitted.evals)) == (9, 9)
    assert fitted.evals[-1] == Eval(index=9, step=9, loss=last)
    assert fitted.kept is not None
    assert fitted.kept.step == kept
    assert digest == seen[kept]


def test_where_the_last_is_the_best_the_bytes_are_those_of_a_training_without(tmp_path: Path) -> None:
    falling = [float(9 - step) for step in range(9)]

    _, digest = train(tmp_path / "with", falling)

    plain, same = train(tmp_path / "without", falling, recipe=replace(RECIPE, early_stopping=EarlyStoppingConfig()))
    assert digest == same
    assert plain.kept is None
    assert len(plain.evals) == 8
    assert names(tmp_path / "without") == ["step-00000009"]


STOPS = [2, 4, 5, 6, 7]
"""Before the best measurement, at it, after it, and where the training is over."""


@pytest.mark.parametrize("in_eval", [False, True])
@pytest.mark.parametrize("stop_at", STOPS)
def test_one_that_was_interrupted_goes_on_to_the_same_weights(tmp_path: Path, stop_at: int, in_eval: bool) -> None:
    unbroken, digest = train(tmp_path / "unbroken")

    with pytest.raises(Interrupted):
        train(tmp_path / "broken", cut=Cut(stop_at, in_eval=in_eval))
    torch.manual_seed(99)
    resumed, again = train(tmp_path / "broken")

    assert resumed == unbroken
    assert again == digest
    assert "best-00000005" in names(tmp_path / "broken")


@pytest.mark.parametrize("stop_at", [3, 4, 6, 7])
@pytest.mark.parametrize("every_s", [0.0, 1e9])
def test_one_that_was_killed_goes_on_to_the_same_weights(tmp_path: Path, stop_at: int, every_s: float) -> None:
    # With a checkpoint after every step, and with none: then it begins anew beside what the first left behind.
    unbroken, digest = train(tmp_path / "unbroken")

    with pytest.raises(Killed):
        train(tmp_path / "broken", cut=Cut(stop_at, Killed), every_s=every_s)
    resumed, again = train(tmp_path / "broken", every_s=every_s)

    assert resumed == unbroken
    assert again == digest


@pytest.mark.parametrize("curve", [VALLEY, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 2.5]])
def test_one_that_had_ended_makes_no_step_more(tmp_path: Path, curve: list[float]) -> None:
    # Over after seven of nine steps, in the middle of an epoch; and after the last, where the one before is the best.
    first, digest = train(tmp_path, curve)

    again, same = train(tmp_path, curve)

    assert again == first
    assert same == digest


def test_a_training_that_had_taken_all_its_steps_in_the_middle_of_an_epoch_makes_none_more(tmp_path: Path) -> None:
    recipe = replace(RECIPE, evals=0, early_stopping=EarlyStoppingConfig(), max_steps=5)
    first, digest = train(tmp_path, recipe=recipe)

    again, same = train(tmp_path, recipe=recipe)

    assert first.steps == again.steps == 5
    assert again == first
    assert same == digest


def test_weights_that_a_checkpoint_counts_on_stay_as_long_as_it_does(tmp_path: Path) -> None:
    # Killed after step 5: its checkpoints are those of steps 4, which counts on 3, and of 5, which counts on itself.
    with pytest.raises(Killed):
        train(tmp_path, cut=Cut(6, Killed), every_s=0)

    assert names(tmp_path) == ["best-00000003", "best-00000005", "step-00000004", "step-00000005"]


@pytest.mark.parametrize("harm", ["the newest checkpoint", "its best weights", "all best weights"])
def test_what_is_damaged_is_passed_over_for_the_checkpoint_before(tmp_path: Path, harm: str) -> None:
    unbroken, digest = train(tmp_path / "unbroken")
    folder = tmp_path / "broken"
    with pytest.raises(Killed):
        train(folder, cut=Cut(6, Killed), every_s=0)
    whole = {
        "the newest checkpoint": ["step-00000005"],
        "its best weights": ["best-00000005"],
        "all best weights": ["best-00000003", "best-00000005"],
    }
    for name in whole[harm]:
        content = bytearray((folder / name / "adapter.safetensors").read_bytes())
        content[-1] ^= 1
        (folder / name / "adapter.safetensors").write_bytes(content)

    resumed, again = train(folder)

    assert resumed == unbroken
    assert again == digest


def test_best_weights_are_no_pickle_and_know_their_recipe(tmp_path: Path) -> None:
    train(tmp_path)

    place = tmp_path / "best-00000005"
    assert names(place) == ["adapter.safetensors", "manifest.json"]
    assert json.loads((place / "manifest.json").read_text())["recipe"] == "r"
    assert all(".lora_" in name for name in load_file(place / "adapter.safetensors"))
    assert BestWeights(tmp_path, recipe="r").has(5)
    assert not BestWeights(tmp_path, recipe="another").has(5)
    assert not BestWeights(tmp_path, recipe="r").has(4)


def test_the_base_is_never_the_best(tmp_path: Path) -> None:
    # A warm-up's first step has a rate of 0, and what is measured after it is the base; everything later is worse.
    seen: dict[int, str] = {}
    recipe = replace(RECIPE, warmup_share=0.2)

    fitted, digest = train(tmp_path, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], recipe=recipe, at_step=seen)

    assert (fitted.steps, fitted.kept) == (4, Eval(index=2, step=2, loss=2.0))
    assert digest == seen[2]


def test_a_first_step_of_a_constant_rate_does_count(tmp_path: Path) -> None:
    recipe = replace(RECIPE, warmup_share=0.2, schedule=Schedule.constant)

    fitted, _ = train(tmp_path, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], recipe=recipe)

    assert (fitted.steps, fitted.kept) == (3, Eval(index=1, step=1, loss=1.0))
