"""How long a study would take, from probes of its smallest and its largest configuration."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tune.config.compose import difference
from tune.config.schema import Config
from tune.study.machine import n_threads, n_workers, thread_variables
from tune.track.plan_record import TimeRecord
from tune.trial.probe import Probed
from tune.trial.sizes import is_fetched


def measure_time(config: Config, ends: Sequence[Config], *, n_trials: int) -> tuple[TimeRecord | None, str | None]:
    """Return how long it would take, and why that is not known where it is None.

    Where several workers run at once, the probes do too: they are in each other's way as workers are.

    Args:
        config: Of the study.
        ends: The configurations that take least and most; one where they are the same.
        n_trials: Of the study in all.
    """
    if config.model.path is not None and not is_fetched(config):
        return None, f"Seconds a step were not measured: {config.model.label} is not on this machine."
    at_once = min(n_workers(config), n_trials) if config.sweep else 1
    found, trouble = _probe_all(ends, at_once=at_once > 1)
    if trouble:
        return None, f"Seconds a step were not measured: {trouble}"
    rounds = math.ceil(n_trials / at_once)
    # Once for the whole study, each worker in its own process: the start, and the base's own scores.
    totals = [
        one.start_s + one.evaluate_s + rounds * one.trial_s(step) + _finals_s(one, config, n_trials)
        for one in found
        for step in (_low(one), _high(one))
    ]
    price = config.plan.price_per_hour
    low, high = min(totals), max(totals)
    return TimeRecord(
        step_low_s=min(map(_low, found)),
        step_high_s=max(map(_high, found)),
        trial_low_s=min(one.trial_s(_low(one)) for one in found),
        trial_high_s=max(one.trial_s(_high(one)) for one in found),
        total_low_s=low,
        total_high_s=high,
        cost_low=None if price is None else price * low / 3600,
        cost_high=None if price is None else price * high / 3600,
        probe_s=max(one.took_s for one in found) if at_once > 1 else sum(one.took_s for one in found),
    ), None


def _finals_s(one: Probed, config: Config, n_trials: int) -> float:
    """Return the seconds of the finals: the base once, and two forms of each finalist, one after the other."""
    n = min(config.evaluate.finalists, n_trials) if config.sweep else 0
    return (1 + 2 * n) * one.final_s if n else 0.0


def _low(one: Probed) -> float:
    return min(one.step_s)


def _high(one: Probed) -> float:
    return max(one.step_s)


def _probe_all(ends: Sequence[Config], *, at_once: bool) -> tuple[list[Probed], str]:
    """Return what the probes measured, and in a sentence why one of them could not."""
    found: list[Probed] = []
    groups = [list(ends)] if at_once else [[one] for one in ends]
    for group in groups:
        running = [_start(config) for config in group]
        for process in running:
            out, trouble = process.communicate()
            if process.returncode:
                return found, trouble.strip().splitlines()[-1] if trouble.strip() else "its process was killed."
            found.append(_read(json.loads(out)))
    return found, ""


def _start(config: Config) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tune.trial.probe", *difference(config)]
    own = os.environ | thread_variables(n_threads(config))
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=own)


def _read(plain: dict[str, Any]) -> Probed:
    return Probed(**{**plain, "step_s": tuple(plain["step_s"])})
