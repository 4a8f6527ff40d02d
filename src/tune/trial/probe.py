"""How long a trial would take, from a few real steps and a few real answers.    python -m tune.trial.probe OVERRIDES.

A process of its own, with as many threads as a worker has; it prints what it measured as JSON and keeps nothing.
"""

import contextlib
import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tune.config.compose import compose
from tune.config.early_stopping import EarlyStoppingConfig
from tune.config.schema import Config
from tune.errors import Interrupted, TuneError
from tune.trial.task import Task, model_folder, read_task

_N_STEPS = 6
"""Optimizer steps; the first is slower than the others and is not counted."""

_N_EXAMPLES = 8
_N_QUESTIONS = 16
_N_PROMPTS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """Seconds, measured on this machine."""

    start_s: float
    """From the start of the process until the base is loaded and the tokens are there."""

    step_s: tuple[float, ...]
    """Of each optimizer step but the first."""

    n_steps: int
    """Optimizer steps of the whole training."""

    evaluate_s: float
    """To score one model on everything, scaled up from a part of it."""

    eval_s: float
    """To measure the validation loss once, scaled up likewise."""

    n_evals: int
    """How often that is done beside the scores: on the way, and at the end where it may come early."""

    took_s: float
    """By the probe itself."""

    final_s: float = 0.0
    """To score one model as a finalist is: on the test split, with all that evaluate.finalists_full asks."""

    def trial_s(self, step_s: float) -> float:
        """Return the seconds of a trial whose steps take so long, without the base's own scores."""
        return self.n_steps * step_s + self.n_evals * self.eval_s + self.evaluate_s


def probe(config: Config, *, began: float) -> Probed:
    """Return what a few steps and a part of the evaluation take.

    Args:
        config: The trial.
        began: When the process did, by time.monotonic().

    Raises:
        TuneError: The trial could not run.
    """
    from tune.data.listener import Silent
    from tune.model import adapt
    from tune.train.fit import n_steps
    from tune.trial.bench import open_bench
    from tune.trial.prepare import prepare_tokens

    task = read_task(config)
    folder = model_folder(config, announce=lambda _: None)
    bench = open_bench(config, task, folder=folder)
    tokens = prepare_tokens(config, task.splits, folder, Silent())
    start_s = time.monotonic() - began
    rows = tokens.dataset()
    adapted = adapt.attach(bench.base, config.lora, seed=config.seed, rows=rows)
    try:
        steps = _steps(adapted, rows, config)
        spent, shares, of_finals = _evaluation(adapted, config, task)
    finally:
        adapt.detach(adapted)
    return Probed(
        start_s=start_s,
        step_s=tuple(steps),
        n_steps=n_steps(config.train, len(rows)),
        evaluate_s=sum(seconds * shares[phase] for phase, seconds in spent.items()),
        eval_s=spent["perplexity"] * shares["perplexity"],
        n_evals=config.train.evals + (config.train.early_stopping.patience is not None),
        took_s=time.monotonic() - began,
        final_s=sum(seconds * of_finals[phase] for phase, seconds in spent.items()),
    )


def _steps(adapted: Any, rows: Any, config: Config) -> list[float]:
    """Return the seconds of a few optimizer steps."""
    from tune.train.fit import fit
    from tune.train.watch import Follow

    marks: list[float] = []

    def on_step(step: int, _total: int, _loss: float) -> None:
        marks.append(time.monotonic())
        if step == _N_STEPS:
            msg = "enough was seen"
            raise Interrupted(msg)

    train = replace(config.train, evals=0, early_stopping=EarlyStoppingConfig())  # they are timed apart
    begun = time.monotonic()
    follow = Follow(on_step=on_step, course=adapted.course)
    with contextlib.suppress(Interrupted):
        fit(adapted.model, adapted.base.tokenizer, rows, train, seed=config.seed, follow=follow)
    # A training of one step has no other to go by; its first then counts, with what it is slower.
    return [b - a for a, b in itertools.pairwise(marks)] or [marks[0] - begun]


def _evaluation(
    adapted: Any, config: Config, task: Task
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Return the seconds of each phase on a part of what is asked, and how many times that trials and finalists ask."""
    from tune.trial.finals import final_config
    from tune.trial.measure import measure

    whole = read_task(final_config(config)) if config.evaluate.finalists else task
    shown = task.splits.validation[:_N_EXAMPLES]
    bank = task.bank and replace(task.bank, test=_spread(task.bank.test, _N_QUESTIONS))
    prompts = _spread(whole.prompts, _N_PROMPTS) if whole.prompts else ()
    lm_tasks = tuple(one.some(_N_QUESTIONS) for one in task.lm_tasks)
    splits = replace(task.splits, validation=shown)
    part = replace(task, splits=splits, bank=bank, prompts=prompts, lm_tasks=lm_tasks)
    watch = _Watch()
    measure(adapted.model, adapted.base.tokenizer, config, part, fingerprint="", on=watch.on)
    on_test = replace(whole, splits=replace(whole.splits, validation=whole.splits.test))
    return watch.spent, _times(task, part), _times(on_test, part)


def _times(whole: Task, part: Task) -> dict[str, float]:
    """Return how many times the part the whole is, phase by phase."""
    share = len(whole.splits.validation) / len(part.splits.validation)
    times = {"answers": share, "perplexity": share, "corpus": 1.0}
    times |= {
        every.name: len(every.ids) / len(some.ids) for every, some in zip(whole.lm_tasks, part.lm_tasks, strict=True)
    }
    if whole.bank and part.bank:
        times["knowledge"] = len(whole.bank.test) / len(part.bank.test)
    if part.prompts:
        times["prompts"] = len(whole.prompts) / len(part.prompts)
    return times


class _Watch:
    """Times the phases by what it is told of them."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._last = time.monotonic()

    def on(self, phase: str, _done: int, _total: int) -> None:
        """Count the time since it was last told for this phase."""
        now = time.monotonic()
        self.spent[phase] = self.spent.get(phase, 0.0) + now - self._last
        self._last = now


def _spread(every: Sequence[Any], n: int) -> tuple[Any, ...]:
    """Return some of them from one end to the other: questions of one subject are alike in length."""
    return tuple(every[:: math.ceil(len(every) / n)])


def main(words: list[str], out: Callable[[str], Any]) -> int:
    """Probe the trial that the overrides make, and print the result or, on standard error, why there is none."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="tune-") as folder:
            found = probe(compose([*words, f"track.folder={Path(folder)}"]), began=began)
    except TuneError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    out(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], print))
