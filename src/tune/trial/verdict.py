"""SHIP, NO or INSUFFICIENT for one adapter, from what was measured of it and of its base."""

import math
from collections.abc import Mapping, Sequence

from scipy.special import ndtri

from tune.config.guards import GuardConfig
from tune.config.metrics import PREFIX, task_metrics
from tune.config.schema import Config
from tune.evaluate.decide import Decision, JudgedGuard, verdict
from tune.evaluate.difference import score_delta
from tune.evaluate.paired import Delta
from tune.evaluate.prompts import JAILBREAK
from tune.trial.measure import Measured

_ASKED = {
    **{f"{prefix}/": "general" for prefix in PREFIX.values()},
    "perplexity/general": "corpus",
    "perplexity/domain": "task",
    "task/": "task",
    "reply/": "task",
}
"""How the names of changes begin, and whose ids say on what they were measured."""


def decide(base: Measured, tuned: Measured, metrics: Mapping[str, float], config: Config) -> Decision:
    """Return what may be said of an adapter.

    Args:
        base: Scores of the base.
        tuned: Scores of the adapted model, on the same questions.
        metrics: What the two compare to.
        config: Its guards are the sweep's; a trial alone has none.
    """
    guards = config.sweep.guards if config.sweep else []
    source = task_metrics(config)[0]
    task = score_delta(base.scores[source], tuned.scores[source], confidence=config.evaluate.confidence)
    return verdict(task, [_judged(guard, metrics, tuned, config) for guard in guards])


def _judged(guard: GuardConfig, metrics: Mapping[str, float], tuned: Measured, config: Config) -> JudgedGuard:
    """Return a guard with the change that is reported; where no standard error is, it is that of the interval."""
    name, confidence = guard.metric, config.evaluate.confidence
    if f"{name}_low" not in metrics:
        return JudgedGuard(guard=guard, delta=None)
    mean, low, high = metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"]
    stderr = metrics.get(f"{name}_stderr", (high - low) / (2 * float(ndtri((1 + confidence) / 2))))
    n = n_items(tuned.ids, name)
    # A guard is judged by its interval, so no p of another question is made up for it.
    delta = Delta(mean=mean, stderr=stderr, low=low, high=high, n=n, p=math.nan, confidence=confidence)
    return JudgedGuard(guard=guard, delta=delta)


def n_items(ids: Mapping[str, Sequence[str]], metric: str) -> int:
    """Return how many items a change was measured on, for how many more would settle it.

    Args:
        ids: Of a measurement.
        metric: As a guard names it.
    """
    if metric.startswith("prompts/"):
        wanted = sum(kind == JAILBREAK for kind in ids["prompt_kinds"])
        few = {"prompts/jailbreak_refusal_delta": wanted, "prompts/refusal_delta": len(ids["prompt_kinds"]) - wanted}
        return few.get(metric, len(ids["prompt_kinds"]))
    own = [name for name in ids if name.startswith("general/") and metric.startswith(f"{name}/")]
    if own:
        return len(ids[max(own, key=len)])
    for prefix, name in _ASKED.items():
        if metric.startswith(prefix):
            return len(ids[name])
    raise AssertionError(metric)
