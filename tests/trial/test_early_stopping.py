"""A whole trial that may end early: what is saved and scored is the best that was measured, whatever the method."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from tune.config import metrics
from tune.config.method import Method
from tune.errors import Interrupted, NothingLearned, Pruned
from tune.model import adapt
from tune.track.memory_store import MemoryStore
from tune.train.evals import Eval
from tune.trial.bench import Bench
from tune.trial.measure import measure
from tune.trial.outcome import Outcome, State
from tune.trial.run import run_trial
from tune.trial.training import Searched

STEPS = ("train.epochs=10", "train.evals=9")
"""Thirty steps over twelve examples; nine measurements come after every third but the last."""

EARLY = (*STEPS, "train.early_stopping.patience=2")
RATES = {
    Method.lora: 3e-2,
    Method.dora: 3e-2,
    Method.pissa: 5e-2,
    Method.adalora: 5e-2,
    Method.prompt: 1.0,
    Method.prefix: 1.0,
    Method.full: 2e-2,
}
"""Rates at which the toy learns twelve examples by heart: its validation loss falls and rises again.

One method of each kind: what is trained is an adapter, one with a frozen start, one with a course of its own, virtual
tokens, and the weights themselves.
"""

Curve = list[tuple[int, float]]


def stop(at: int, phase: str = "train") -> Callable[[str, int, int], None]:
    def on(now: str, done: int, _total: int) -> None:
        if (now, done) == (phase, at):
            msg = "preempted"
            raise Interrupted(msg)

    return on


@pytest.fixture
def run(bench: Bench, small) -> Callable[..., tuple[Outcome, Curve]]:
    """Run a trial; return what it found and its measurements by step."""

    def one(
        folder: Path,
        *words: str,
        on: Callable[[str, int, int], None] = lambda *_: None,
        on_eval: Callable[[Sequence[Eval]], None] = lambda _: None,
        alone: bool = False,
    ) -> tuple[Outcome, Curve]:
        recorder = MemoryStore().trial_run(name="t", study_run_id=None, tags={})
        searched = None if alone else Searched(whole_steps=nullcontext, on_eval=on_eval)
        outcome = run_trial(small(*words), bench, folder=folder, recorder=recorder, on=on, searched=searched)
        return outcome, [(point.step, point.value) for point in recorder._run.points.get("eval/step_loss", ())]

    return one


def by_heart(method: Method) -> list[str]:
    return [f"lora={method}", f"train.learning_rate={RATES[method]}", *EARLY]


def adapter(folder: Path) -> bytes:
    return next((folder / "adapter").glob("*.safetensors")).read_bytes()


def numbers(outcome: Outcome) -> dict[str, float]:
    times = {"cost/seconds", "cost/peak_gib", *(f"cost/{phase}_seconds" for phase in ("base", "train", "evaluate"))}
    return {name: value for name, value in outcome.metrics.items() if name not in times}


@pytest.mark.parametrize("method", list(RATES))
def test_a_trial_that_learns_by_heart_ends_early_and_one_that_was_cut_off_after_its_best_does_alike(
    run, bench: Bench, small, tmp_path: Path, method: Method
) -> None:
    words = by_heart(method)

    outcome, curve = run(tmp_path / "unbroken", *words)

    assert outcome.state is State.complete
    best_step, best = min(curve, key=lambda point: point[1])
    made = outcome.metrics["cost/train_steps"]
    assert best_step == outcome.metrics["train/best_step"] < made == curve[-1][0] < 30
    assert outcome.metrics["train/planned_steps"] == 30
    assert outcome.metrics["eval/loss"] == pytest.approx(best, abs=1e-6)
    assert min(curve[-2:], key=lambda point: point[1])[1] > best
    assert not (tmp_path / "unbroken" / "checkpoints").exists()
    adapted = adapt.reload(bench.base, tmp_path / "unbroken" / "adapter")
    again = measure(adapted.model, bench.base.tokenizer, small(*words), bench.task, fingerprint="x", on=stop(-1))
    adapt.detach(adapted)
    assert again.surprise.loss == outcome.metrics["eval/loss"]

    with pytest.raises(Interrupted):
        run(tmp_path / "broken", *words, on=stop(best_step + 1))
    resumed, _ = run(tmp_path / "broken", *words)

    assert adapter(tmp_path / "broken") == adapter(tmp_path / "unbroken")
    assert numbers(resumed) == numbers(outcome)


@pytest.mark.parametrize(
    "on",
    [stop(2), stop(4, "eval"), stop(6), stop(9), stop(12), stop(4, "answers")],
    ids=["before the best", "in the first measurement", "at the best", "after it", "at the end", "while it is scored"],
)
def test_wherever_it_is_cut_off_it_ends_with_the_same_adapter(run, tmp_path: Path, on) -> None:
    words = by_heart(Method.lora)
    outcome, _ = run(tmp_path / "unbroken", *words)
    assert (outcome.metrics["train/best_step"], outcome.metrics["cost/train_steps"]) == (6, 12)

    with pytest.raises(Interrupted):
        run(tmp_path / "broken", *words, on=on)
    resumed, _ = run(tmp_path / "broken", *words)

    assert adapter(tmp_path / "broken") == adapter(tmp_path / "unbroken")
    assert numbers(resumed) == numbers(outcome)


def test_one_that_gets_better_to_the_end_is_the_trial_that_it_would_be_without(run, small, tmp_path: Path) -> None:
    slow = ("lora.dropout=0.1", "train.epochs=2", "train.evals=3")

    plain, _ = run(tmp_path / "without", *slow)
    outcome, curve = run(tmp_path / "with", *slow, "train.early_stopping.patience=2")

    assert [step for step, _ in curve] == [2, 3, 5, 6], "the end is measured too"
    assert adapter(tmp_path / "with") == adapter(tmp_path / "without")
    extra = {"train/best_step": 6, "train/planned_steps": 6}
    assert numbers(outcome) == {**numbers(plain), **extra}
    assert plain.metrics["cost/train_steps"] == 6
    assert set(outcome.metrics) == set(metrics.metric_names(small(*slow, "train.early_stopping.patience=2")))


def test_what_a_trial_says_it_trained_is_what_it_trained(run, tmp_path: Path) -> None:
    whole, _ = run(tmp_path / "whole", "train.epochs=4")  # twelve steps
    early, _ = run(tmp_path / "early", *by_heart(Method.lora))

    assert early.metrics["cost/train_steps"] == whole.metrics["cost/train_steps"] == 12
    assert early.metrics["cost/train_tokens"] == whole.metrics["cost/train_tokens"]


def test_alone_it_leaves_no_weights_behind_but_the_adapter(run, tmp_path: Path) -> None:
    run(tmp_path / "searched", *by_heart(Method.lora))
    run(tmp_path / "alone", *by_heart(Method.lora), alone=True)

    assert adapter(tmp_path / "alone") == adapter(tmp_path / "searched")
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", *by_heart(Method.lora), alone=True, on=stop(9))
    left = {path.name for folder in ("alone", "stopped") for path in (tmp_path / folder).glob("*")}
    assert left == {"adapter", "scores.json", "outcome.json"}


def test_a_pruner_is_told_what_is_measured_on_the_way_and_comes_first(run, tmp_path: Path) -> None:
    told: list[int] = []

    def judge(evals: Sequence[Eval]) -> None:
        told.append(evals[-1].index)
        if evals[-1].index == 4:  # where the training would end early
            raise Pruned(step=evals[-1].step, loss=evals[-1].loss)

    with pytest.raises(Pruned, match="stopped after step 12"):
        run(tmp_path / "pruned", *by_heart(Method.lora), on_eval=judge)
    assert not list((tmp_path / "pruned").iterdir())
    assert told == [1, 2, 3, 4]

    told.clear()
    run(tmp_path / "whole", "train.epochs=2", "train.evals=3", "train.early_stopping.patience=2", on_eval=judge)
    assert told == [1, 2, 3], "the end is no share that others are compared at"


def test_a_trial_of_one_step_without_a_rate_has_learned_nothing_as_ever(run, tmp_path: Path) -> None:
    with pytest.raises(NothingLearned):
        run(tmp_path, "train.max_steps=1", "train.evals=8", "train.early_stopping.patience=2")
