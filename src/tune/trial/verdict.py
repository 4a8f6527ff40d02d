"""SHIP, NO or INSUFFICIENT for one adapter, from what was measured of it and of its base."""

import math
from collections.abc import Mapping, Sequence

from tune.config.guards import GuardConfig
from tune.config.metrics import task_metrics
from tune.config.schema import Config
from tune.evaluate.decide import Decision, JudgedGuard, verdict
from tune.evaluate.difference import score_delta
from tune.evaluate.paired import Delta
from tune.trial.measure import Measured


def decide(base: Measured, tuned: Measured, metrics: Mapping[str, float], config: Config) -> tuple[Decision, Delta]:
    """Return what may be said of an adapter, and the task's change that this rests on.

    Args:
        base: Scores of the base.
        tuned: Scores of the adapted model, on the same questions.
        metrics: What the two compare to.
        config: Its guards are the sweep's; a trial alone has none.
    """
    guards = config.sweep.guards if config.sweep else []
    source = task_metrics(config)[0]
    task = score_delta(base.scores[source], tuned.scores[source], confidence=config.evaluate.confidence)
    judged = [_judged(guard, metrics, n=_n_items(tuned, guard.metric), config=config) for guard in guards]
    return verdict(task, judged), task


def _judged(guard: GuardConfig, metrics: Mapping[str, float], *, n: int, config: Config) -> JudgedGuard:
    if f"{guard.metric}_low" not in metrics:
        return JudgedGuard(guard=guard, delta=None)
    return JudgedGuard(guard=guard, delta=_from_metrics(guard.metric, metrics, n=n, config=config))


def _from_metrics(metric: str, metrics: Mapping[str, float], *, n: int, config: Config) -> Delta:
    """Return a reported change; where its standard error is not reported, it is that of the interval."""
    from scipy.special import ndtri

    mean, low, high = metrics[metric], metrics[f"{metric}_low"], metrics[f"{metric}_high"]
    confidence = config.evaluate.confidence
    half = float(ndtri((1 + confidence) / 2))
    stderr = metrics.get(f"{metric}_stderr", (high - low) / (2 * half))
    # A guard is judged by its interval, so no p is made up for it.
    return Delta(mean=mean, stderr=stderr, low=low, high=high, n=n, p=math.nan, confidence=confidence)


def _n_items(measured: Measured, metric: str) -> int:
    """Return how many items a metric was measured on, for how many more would be needed."""
    kinds: Sequence[str] = sorted((name for name in measured.ids if metric.startswith(name)), key=len)
    if kinds:
        return len(measured.ids[kinds[-1]])
    return len(measured.ids["general" if metric.startswith("mmlu") else "task"])
