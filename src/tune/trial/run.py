"""One trial: base, adapter, training, scores, deltas. Here the siblings meet."""

import random
from dataclasses import asdict
from pathlib import Path

from tune.config.metrics import BEST_STEP, MADE_STEPS, PLANNED_STEPS
from tune.config.schema import Config
from tune.data.listener import Silent
from tune.data.tokens import TokenTable
from tune.errors import Diverged
from tune.files import write_json
from tune.track.recorder import RunRecorder
from tune.train.advice import curve_advice
from tune.train.evals import Eval
from tune.train.fit import Fitted
from tune.trial.baseline import baseline_of
from tune.trial.bench import Bench
from tune.trial.measure import Progress, compare
from tune.trial.meter import Meter
from tune.trial.outcome import OUTCOME, SCORES, Outcome, State
from tune.trial.prepare import prepare_tokens
from tune.trial.prompts import cut_note
from tune.trial.replies import reply_notes
from tune.trial.room import check_positions
from tune.trial.training import Searched, Trained, Training


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
    training = Training(
        config=config, bench=bench, folder=folder, recorder=recorder, on=on, searched=searched, meter=meter
    )
    trained = training.run(tokens.dataset(), fingerprint=baseline.name)
    with meter.phase("base"):
        before = baseline.get(measure_base)
    sides = {"base": before.to_json(), "adapted": trained.tuned.to_json()}
    write_json(folder / SCORES, sides | task.asked())
    outcome = Outcome(
        state=State.complete,
        metrics=compare(before, trained.tuned, config) | _training(trained) | meter.read(),
        adapter=str(folder / "adapter"),
        notes=_notes(config, bench, tokens, trained),
    )
    write_json(folder / OUTCOME, asdict(outcome))
    trained.checkpoints.clear()
    return outcome


def _notes(config: Config, bench: Bench, tokens: TokenTable, trained: Trained) -> tuple[str, ...]:
    """Return what was left out, cut or chosen on the way, and what the curves make advisable."""
    return (
        *bench.task.splits.account.notes,
        *_left_out(tokens),
        *([trained.adapted.note] if trained.adapted.note else []),
        *cut_note(bench.base.tokenizer, config, bench.task.prompts),
        *reply_notes(trained.tuned.scores, config),
        *_advice(trained, config),
    )


def _training(trained: Trained) -> dict[str, float]:
    """Return what the training did and what was trained, by the names of metrics."""
    adapted, fitted = trained.adapted, trained.fitted
    return {
        "train/loss": _last_losses(fitted),
        "cost/trainable_params": float(adapted.trainable),
        "cost/trainable_share": adapted.trainable / adapted.total,
        "cost/train_tokens": float(fitted.n_tokens),
        **_steps(fitted),
    }


def _left_out(tokens: TokenTable) -> list[str]:
    n_all, limit = len(tokens.lengths), tokens.max_length
    note = f"{tokens.n_left_out} of {n_all} examples are longer than train.max_length={limit} and were left out."
    return [note] if tokens.n_left_out else []


def _advice(trained: Trained, config: Config) -> list[str]:
    """Return what the curves make advisable; the last measurement is that of the scores, where the end has none."""
    fitted = trained.fitted
    end = Eval(index=config.train.evals + 1, step=fitted.steps, loss=trained.tuned.surprise.loss)
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
