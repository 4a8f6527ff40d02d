"""A trial's adapter on the untouched test split: as it was saved, and as it would be deployed.

In a process of its own, from the files alone: what the training process had in memory has no part in it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from tune.config.schema import Config
from tune.errors import DataError
from tune.model import adapt
from tune.model.deploy import deployed
from tune.trial.baseline import baseline_of
from tune.trial.bench import open_bench
from tune.trial.measure import Measured, Progress, measure
from tune.trial.task import Task, read_task

LEAST = 2
"""Test examples; one says nothing about its spread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Final:
    """Scores on the test split."""

    task: Task
    """Its validation split is the test split."""

    base: Measured
    adapter: Measured
    deployed: Measured
    note: str | None
    """What should be known of the deployed form."""


def final_config(config: Config) -> Config:
    """Return how a finalist is scored: with all questions, unless evaluate.finalists_full=false."""
    return replace(config, evaluate=config.evaluate.for_finalists())


def final_task(config: Config) -> Task:
    """Return the test split, and the knowledge questions of a finalist.

    Raises:
        DataError: The test split has fewer than two examples.
    """
    task = read_task(final_config(config))
    n = len(task.splits.test)
    if n < LEAST:
        msg = (
            f"the test split has {n} examples, so nothing can be said of what the search has not seen. "
            "Set data.n_test (or data.test) to 2 or more; 64 is the least that shows anything."
        )
        raise DataError(msg)
    return replace(task, splits=replace(task.splits, validation=task.splits.test))


def score_final(config: Config, task: Task, *, adapter: Path, model: Path, work: Path, on: Progress) -> Final:
    """Score a saved adapter on the test split, in both forms, beside its base.

    Args:
        config: The trial's.
        task: From `final_task`.
        adapter: Folder of the adapter.
        model: Folder of the model.
        work: Where a merged model may be written for a moment.
        on: Is told how far it is; may raise to stop.

    Raises:
        AssetError: The adapter is not there or not whole, or the model has gone.
        Diverged: A score or a merged weight is NaN or infinite.
    """
    config = final_config(config)
    bench = open_bench(config, task, folder=model)
    baseline, measure_base = baseline_of(config, bench, on)
    before = baseline.get(measure_base)
    tokenizer = bench.base.tokenizer
    adapted = adapt.reload(bench.base, adapter)

    def score(form: object, name: str) -> Measured:
        def named(phase: str, done: int, total: int) -> None:
            on(f"{name} {phase}", done, total)

        return measure(form, tokenizer, config, task, fingerprint=baseline.name, on=named)

    saved = score(adapted.model, "adapter")
    merged, note = deployed(adapted, config, adapter, work=work)
    served = saved if merged is adapted.model else score(merged, "deployed")
    return Final(task=task, base=before, adapter=saved, deployed=served, note=note)
