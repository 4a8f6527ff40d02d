"""One trial: base, adapter, training, scores, deltas. Here the siblings meet."""

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from tune.config.digest import digest
from tune.config.metrics import BEST_STEP, MADE_STEPS, PLANNED_STEPS
from tune.config.schema import Config
from tune.data.listener import Silent
from tune.data.template import apply_template
from tune.data.template_check import end_ids
from tune.data.tokens import TokenTable
from tune.errors import Diverged, Pruned
from tune.files import write_json
from tune.model import adapt
from tune.model.load import Base, load_base
from tune.model.quantize import import_quietly
from tune.model.targets import summary
from tune.track.recorder import RunRecorder
from tune.train.advice import curve_advice
from tune.train.best import BestWeights
from tune.train.checkpoint import Checkpoints
from tune.train.evals import Eval
from tune.train.fit import Fitted, fit
from tune.train.watch import Follow
from tune.trial.baseline import Baseline, fingerprint
from tune.trial.measure import Measured, Progress, compare, measure, validation_loss
from tune.trial.meter import Meter, give_back_freed
from tune.trial.outcome import Outcome, State
from tune.trial.prepare import prepare_tokens
from tune.trial.prompts import cut_note
from tune.trial.replies import reply_notes
from tune.trial.room import check_positions
from tune.trial.task import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What a worker keeps between trials: the base in memory and the task."""

    base: Base
    task: Task
    folder: Path
    """Of the model."""

    model_key: str
    """Which model, quantization and chat template the base has; another trial may ask for another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """What a study adds to a trial: it may stop it early, and try it again in the same folder."""

    whole_steps: Callable[[], AbstractContextManager[None]]
    """Inside this context the trial is stopped between two optimizer steps alone."""

    on_eval: Callable[[Sequence[Eval]], None] = lambda _: None
    """Is told all measurements of the validation loss so far after each one; may raise Pruned."""


def open_bench(config: Config, task: Task, *, folder: Path | str) -> Bench:
    """Load the base, and let its tokenizer write with data.template.

    Raises:
        AssetError: The model cannot be loaded.
        DataError: The chat template does not fit it.
    """
    quiet_libraries()
    base = load_base(config.model, config.quantization, folder=folder)
    give_back_freed()
    apply_template(base.tokenizer, config.data.template)
    return Bench(base=base, task=task, folder=Path(folder), model_key=model_key(config))


def model_key(config: Config) -> str:
    """Return what tells one loaded base from another."""
    return repr((config.model, config.quantization, config.data.template))


def run_trial(
    config: Config,
    bench: Bench,
    *,
    folder: Path,
    recorder: RunRecorder,
    on: Progress,
    searched: Searched | None = None,
) -> Outcome:
    """Train and score one adapter; the base is left as it was.

    Args:
        config: The trial's whole configuration.
        bench: Its base and its task.
        folder: Where adapter, scores.json (example by example) and outcome.json go.
        recorder: Its run; losses are recorded as they come.
        on: Is told how far it is; may raise to stop.
        searched: Given where the trial is a study's: training goes on from a checkpoint in the folder, and leaves some
            behind.

    Raises:
        TrialError: It ended without a result; the reason is the error's.
    """
    base, task = bench.base, bench.task
    tokens = prepare_tokens(config, task.splits, bench.folder, Silent())
    check_positions(config, base, task, tokens)
    if task.scoring.own:
        task.scoring.own.load()  # what it raises is told before anything is trained
    meter = Meter(base.device)
    baseline, measure_base = baseline_of(config, bench, on)
    with meter.phase("base"):
        baseline.measure_if_free(measure_base)
    recorder.tags({f"tune.data.{name}": value for name, value in task.splits.digests.items()})
    recorder.tags({"tune.tokens": tokens.name})
    _seed_everything(config.seed)
    recipe = _recipe(config, bench)
    checkpoints = Checkpoints(folder / "checkpoints", recipe=recipe, every_s=config.workers.checkpoint_s)
    rows = tokens.dataset()
    adapted = adapt.attach(base, config.lora, seed=config.seed, rows=rows)
    try:
        recorder.tags({"tune.targets": summary(adapted.targets)})
        with meter.phase("train"), searched.whole_steps() if searched else nullcontext():
            follow = Follow(
                on_step=_on_step(recorder, on),
                course=adapted.course,
                checkpoints=checkpoints if searched else None,
                best=BestWeights(folder / "checkpoints", recipe=recipe),
                measure=validation_loss(adapted.model, base.tokenizer, config, task, on=on),
                on_eval=_on_eval(recorder, searched, n_judged=config.train.evals),
            )
            fitted = fit(adapted.model, base.tokenizer, rows, config.train, seed=config.seed, follow=follow)
        adapted = adapt.settle(adapted)
        adapt.save(adapted, folder / "adapter")
        with meter.phase("evaluate"):
            tuned = measure(adapted.model, base.tokenizer, config, task, fingerprint=baseline.name, on=on)
    except Pruned:
        checkpoints.clear()
        raise
    finally:
        if not searched:  # nobody goes on with it
            checkpoints.clear()
        adapt.detach(adapted)
    with meter.phase("base"):
        before = baseline.get(measure_base)
    sides = {"base": before.to_json(), "adapted": tuned.to_json()}
    write_json(folder / "scores.json", sides | task.asked())
    outcome = Outcome(
        state=State.complete,
        metrics=compare(before, tuned, config) | _training(adapted, fitted) | meter.read(),
        adapter=str(folder / "adapter"),
        notes=(
            *task.splits.account.notes,
            *_left_out(tokens),
            *([adapted.note] if adapted.note else []),
            *cut_note(base.tokenizer, config, task.prompts),
            *reply_notes(tuned.scores, config),
            *_advice(fitted, tuned, config),
        ),
    )
    write_json(folder / "outcome.json", asdict(outcome))
    checkpoints.clear()
    return outcome


def _training(adapted: adapt.Adapted, fitted: Fitted) -> dict[str, float]:
    """Return what the training did and what was trained, by the names of metrics."""
    return {
        "train/loss": _last_losses(fitted),
        "cost/trainable_params": float(adapted.trainable),
        "cost/trainable_share": adapted.trainable / adapted.total,
        "cost/train_tokens": float(fitted.n_tokens),
        **_steps(fitted),
    }


def baseline_of(config: Config, bench: Bench, on: Progress) -> tuple[Baseline, Callable[[], Measured]]:
    """Return the base's scores in the cache, and what measures them where they are not there."""
    base = bench.base
    name = fingerprint(
        config,
        bench.task,
        weights=base.digest,
        dtype=str(base.dtype),
        template=str(base.tokenizer.chat_template),
        ends=end_ids(base.tokenizer),
    )

    def measure_base() -> Measured:
        return measure(base.model, base.tokenizer, config, bench.task, fingerprint=name, on=_named("base ", on))

    return Baseline(name), measure_base


def quiet_libraries() -> None:
    """Let libraries speak only when something is wrong; tune reports progress itself."""
    import_quietly()
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()


def _on_step(recorder: RunRecorder, on: Progress) -> Callable[[int, int, float], None]:
    def on_step(step: int, total: int, loss: float) -> None:
        recorder.metrics({"train/step_loss": loss}, step=step)
        on("train", step, total)

    return on_step


def _on_eval(recorder: RunRecorder, searched: Searched | None, *, n_judged: int) -> Callable[[Sequence[Eval]], None]:
    def on_eval(evals: Sequence[Eval]) -> None:
        recorder.metrics({"eval/step_loss": evals[-1].loss}, step=evals[-1].step)
        if searched and evals[-1].index <= n_judged:  # a training that has ended is not stopped any more
            searched.on_eval(evals)

    return on_eval


def _recipe(config: Config, bench: Bench) -> str:
    """Return the recipe of the checkpoints; what was written for other settings, data or weights is not used."""
    base = bench.base
    return digest(
        {
            "train": config.train,
            "lora": config.lora,
            "quantization": config.quantization,
            "seed": config.seed,
            "data": bench.task.splits.digests["train"],
            "weights": base.digest,
            "dtype": str(base.dtype),
            "template": str(base.tokenizer.chat_template),
            "learn": config.data.learn,
        }
    )


def _left_out(tokens: TokenTable) -> list[str]:
    n_all, limit = len(tokens.lengths), tokens.max_length
    note = f"{tokens.n_left_out} of {n_all} examples are longer than train.max_length={limit} and were left out."
    return [note] if tokens.n_left_out else []


def _advice(fitted: Fitted, tuned: Measured, config: Config) -> list[str]:
    """Return what the curves make advisable; the last measurement is that of the scores, where the end has none."""
    end = Eval(index=config.train.evals + 1, step=fitted.steps, loss=tuned.surprise.loss)
    evals = fitted.evals if fitted.kept else (*fitted.evals, end)
    rate = config.train.learning_rate
    return list(curve_advice(fitted.losses, evals, learning_rate=rate, keeps_best=fitted.kept is not None))


def _last_losses(fitted: Fitted) -> float:
    """Return the mean training loss of the last quarter of the steps to what is kept; one step alone is noise."""
    losses = fitted.losses[: fitted.kept.step] if fitted.kept else fitted.losses
    last = losses[-max(1, len(losses) // 4) :]
    if not last:
        msg = "training ended before its first step."
        raise Diverged(msg)
    return sum(last) / len(last)


def _steps(fitted: Fitted) -> dict[str, float]:
    """Return how many steps were made, and with an early end allowed how many there might be and are kept."""
    made = {MADE_STEPS: float(fitted.steps)}
    return made | ({BEST_STEP: fitted.kept.step, PLANNED_STEPS: fitted.planned_steps} if fitted.kept else {})


def _seed_everything(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - what libraries draw from
    torch.manual_seed(seed)


def _named(prefix: str, on: Progress) -> Callable[[str, int, int], None]:
    return lambda phase, done, total: on(prefix + phase, done, total)
