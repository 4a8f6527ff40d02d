"""Ranges and combinations that types cannot say; everything wrong is reported at once."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from tune import paths
from tune.config.data_rules import impossible_data
from tune.config.duration import seconds_of
from tune.config.early_stopping import impossible_early_stopping
from tune.config.evaluation_rules import impossible_evaluation
from tune.config.foreign import PERMISSIONS
from tune.config.method_rules import impossible_bias, impossible_checkpointing, impossible_method
from tune.config.objective_rules import impossible_objectives
from tune.config.optimizer_rules import impossible_optimizer
from tune.config.pruning import Pruner, impossible_pruning
from tune.config.quantization_rules import impossible_quantization
from tune.config.replies import impossible_replies
from tune.config.schema import Config, Sampler
from tune.config.scoring_rules import impossible_scoring
from tune.config.sheet import impossible_sheet
from tune.config.targets import impossible_targets
from tune.config.workers import RetriesConfig
from tune.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be."""

    allowed: Callable[[Any], bool]
    words: str


def _at_least(low: float) -> Range:
    return Range(lambda value: math.isfinite(value) and value >= low, f"{low} or more")


_POSITIVE = Range(lambda value: math.isfinite(value) and value > 0, "above 0")
_SHARE = Range(lambda value: 0 <= value < 1, "from 0 up to but not 1")
_SHARE_OR_COUNT = Range(
    lambda value: 0 <= value < 1 or (math.isfinite(value) and value == int(value)),
    "a share from 0 up to but not 1, or a whole number of rows",
)

RANGES: dict[str, Range] = {
    "seed": _at_least(0),
    "data.n_train": _at_least(1),
    "data.n_validation": _at_least(2),
    "data.n_test": _at_least(0),
    "data.validation": _SHARE_OR_COUNT,
    "data.test": _SHARE_OR_COUNT,
    "data.leak_ngram": _at_least(4),
    "data.seed": _at_least(0),
    "data.clean.similarity": Range(lambda value: 0 < value <= 1, "above 0, at most 1"),
    "data.clean.ngram": _at_least(1),
    "data.clean.min_words": _at_least(1),
    "data.clean.max_words": _at_least(1),
    "data.balance.cap": _at_least(1),
    "data.mix.share": Range(lambda value: 0 <= value <= 1, "from 0 to 1"),
    "data.max_new_tokens": _at_least(1),
    "lora.rank": _at_least(1),
    "lora.alpha": _at_least(1),
    "lora.dropout": _SHARE,
    "lora.plus_ratio": _at_least(1),
    "lora.virtual_tokens": _at_least(1),
    "lora.spectrum_share": Range(lambda value: 0 < value <= 1, "above 0, at most 1"),
    "lora.initial_rank": _at_least(2),
    "train.learning_rate": _POSITIVE,
    "train.epochs": _POSITIVE,
    "train.max_steps": _at_least(1),
    "train.batch_size": _at_least(1),
    "train.accumulation": _at_least(1),
    "train.warmup_share": _SHARE,
    "train.momentum": _SHARE,
    "train.galore_rank": _at_least(1),
    "train.weight_decay": _at_least(0),
    "train.max_grad_norm": _POSITIVE,
    "train.max_length": _at_least(8),
    "train.evals": _at_least(0),
    "train.early_stopping.patience": _at_least(1),
    "train.early_stopping.least_gain": _at_least(0),
    "evaluate.limit": _at_least(1),
    "evaluate.items": _at_least(1),
    "evaluate.items_seed": _at_least(0),
    "evaluate.finalists": _at_least(0),
    "evaluate.tasks_limit": _at_least(2),
    "evaluate.corpus_limit": _at_least(2),
    "evaluate.corpus_tokens": _at_least(16),
    "evaluate.n_shot": _at_least(0),
    "evaluate.batch_size": _at_least(1),
    "evaluate.generation_batch_size": _at_least(1),
    "evaluate.prompts_max_new_tokens": _at_least(1),
    "evaluate.prompts_max_tokens": _at_least(16),
    "evaluate.confidence": Range(lambda value: 0.5 < value < 1, "between 0.5 and 1"),  # noqa: PLR2004
    "evaluate.code.timeout_s": Range(lambda value: 1 <= value <= 600, "from 1 to 600"),  # noqa: PLR2004
    "evaluate.code.memory_mib": Range(lambda value: 64 <= value <= 65536, "from 64 to 65536"),  # noqa: PLR2004
    "evaluate.code.n_parallel": _at_least(1),
    "evaluate.sampling.temperature": Range(lambda value: 0 <= value <= 10, "from 0 to 10"),  # noqa: PLR2004
    "evaluate.sampling.top_p": Range(lambda value: 0 < value <= 1, "above 0, at most 1"),
    "evaluate.sampling.seed": _at_least(0),
    "evaluate.judge.trial": _at_least(0),
    "evaluate.judge.limit": _at_least(2),
    "evaluate.judge.per_minute": _POSITIVE,
    "evaluate.judge.n_parallel": Range(lambda value: 1 <= value <= 64, "from 1 to 64"),  # noqa: PLR2004
    "evaluate.judge.timeout_s": _POSITIVE,
    "evaluate.judge.retries": _at_least(0),
    "evaluate.judge.backoff_s": _at_least(0),
    "evaluate.judge.max_failures": _at_least(1),
    "evaluate.judge.max_down_s": _POSITIVE,
    "evaluate.judge.temperature": Range(lambda value: 0 <= value <= 2, "from 0 to 2"),  # noqa: PLR2004
    "evaluate.judge.max_tokens": _at_least(32),
    "evaluate.judge.price_per_million_input": _at_least(0),
    "evaluate.judge.price_per_million_output": _at_least(0),
    "study.n_trials": _at_least(1),
    "study.seed": _at_least(0),
    "study.population": _at_least(2),
    "study.pruning.startup": _at_least(1),
    "study.pruning.spared": _at_least(0),
    "study.pruning.one_in": _at_least(2),
    "study.pruning.patience": _at_least(0),
    "workers.count": _at_least(1),
    "workers.threads": _at_least(1),
    **{f"study.retries.{field.name}": _at_least(0) for field in fields(RetriesConfig)},
    "study.storage_wait_s": _at_least(0),
    "study.free_gib": _at_least(0),
    "workers.memory_gib": _POSITIVE,
    "workers.timeout_s": _POSITIVE,
    "workers.wait_s": _at_least(0),
    "workers.trials_per_process": _at_least(0),
    "track.port": Range(lambda value: 1 <= value <= 65535, "from 1 to 65535"),  # noqa: PLR2004
    "workers.checkpoint_s": _at_least(0),
    "workers.heartbeat_s": _POSITIVE,
    "workers.grace_s": _POSITIVE,
    "clean.keep_adapters": _at_least(0),
    "plan.price_per_hour": _at_least(0),
    "sheet.n": _at_least(1),
    "sheet.seed": _at_least(0),
    "sheet.trial": _at_least(0),
}


def check(config: Config) -> None:
    """Raise for every value out of its range and every combination that cannot work.

    Raises:
        ConfigError: One paragraph that names each key, its value, what is allowed and a way out.
    """
    wrong = [*_out_of_range(config), *_impossible(config), *_not_permitted(config)]
    if wrong:
        raise ConfigError(" ".join(wrong))


def _out_of_range(config: Config) -> Iterator[str]:
    for key, allowed in RANGES.items():
        value: Any = config
        for part in key.split("."):
            value = getattr(value, part)
        if value is not None and not allowed.allowed(value):
            yield f"{key}={value} is not allowed: it must be {allowed.words}."


def _impossible(config: Config) -> Iterator[str]:
    if not (config.model.embedded or config.model.path):
        yield "model.path is not set: name a local folder or a hub id, or take model=smollm2_135m."
    searched = frozenset(config.sweep.space if config.sweep else ())
    yield from impossible_data(config.data, searched=searched)
    yield from impossible_method(config.lora, config.quantization, searched=searched)
    yield from impossible_bias(config.lora, config.model, searched=searched)
    yield from impossible_checkpointing(config.lora, config.train)
    yield from impossible_quantization(config.quantization)
    yield from impossible_targets(config.lora)
    yield from impossible_optimizer(config, searched=searched)
    yield from impossible_pruning(config.study.pruner, config.study.pruning, config.train.evals, searched=searched)
    yield from impossible_early_stopping(config.train, config.study.pruner, config.study.pruning, searched=searched)
    yield from impossible_evaluation(config.evaluate)
    yield from impossible_scoring(config.data, config.evaluate, searched=searched)
    if config.sweep and config.study.sampler is not Sampler.grid and config.study.n_trials is None:
        yield f"study.n_trials is not set, and study.sampler={config.study.sampler} has no end of its own."
    yield from _impossible_seeds(config)
    yield from impossible_objectives(config)
    yield from impossible_replies(config.replies)
    if config.workers.grace_s <= 2 * config.workers.heartbeat_s:
        yield (
            f"workers.grace_s={config.workers.grace_s:g} is not allowed: a living worker may miss a beat, so it must "
            f"be above twice workers.heartbeat_s={config.workers.heartbeat_s:g}."
        )
    if config.study.budget is not None and seconds_of(config.study.budget) is None:
        yield (
            f"study.budget={config.study.budget} is not allowed: write a time above 0 in whole hours, minutes and "
            "seconds, as in 2h, 90m, 1h30m or 45s; or leave it out."
        )
    yield from no_server(config.track.uri)
    yield from impossible_sheet(config.sheet)


def _impossible_seeds(config: Config) -> Iterator[str]:
    seeds = config.sweep.seeds if config.sweep else []
    if not seeds:
        return
    if min(seeds) < 0 or len(set(seeds)) < len(seeds) or len(seeds) < 2:  # noqa: PLR2004
        yield (
            f"sweep.seeds={seeds} is not allowed: name two or more different seeds of 0 or more, as in [0, 1, 2]. "
            "For a single one, set seed."
        )
    if config.seed:
        yield f"seed={config.seed} has no effect with sweep.seeds={seeds}: put it in that list, or leave it out."
    if config.study.sampler is Sampler.grid and config.study.pruner is not Pruner.none:
        yield (
            f"study.pruner={config.study.pruner} is not allowed with sweep.seeds in a grid, which runs every cell with "
            "every seed: the mean of one that was stopped would be that of its other seeds. Take study.pruner=none, or "
            "study.sampler=random or tpe, which give it no further ones."
        )
    if config.sweep and "seed" in config.sweep.space:
        yield "sweep.space has seed, and sweep.seeds is set too: leave one out. Seeds are averaged, a space is not."


def no_server(uri: str | None) -> Iterator[str]:
    """Yield why the address is no MLflow server's. What stands before an @ may be a password and is not repeated."""
    key, address = ("track.uri" if uri else "TUNE_TRACKING_URI"), paths.tracking_uri(uri)
    if address is None:
        return
    shown = f"{key}=…@{address.rpartition('@')[2]}" if "@" in address else f"{key}={address}"
    try:
        parts = urlsplit(address)
        reachable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or half of an IPv6 address
        reachable = False
    if not reachable:
        yield (
            f"{shown} is not allowed: it must be the http:// or https:// address of an MLflow server, for example "
            "http://127.0.0.1:5000. Leave it out to record in track.folder."
        )
    elif uri and "@" in parts.netloc:
        yield (
            f"{shown} is not allowed: the configuration is stored with every run, and a password may not be. Set the "
            "address in the environment variable TUNE_TRACKING_URI, or user and password in MLFLOW_TRACKING_USERNAME "
            "and MLFLOW_TRACKING_PASSWORD."
        )


def _not_permitted(config: Config) -> Iterator[str]:
    model = config.model
    if model.code_from is not None and not model.runs_own_code:
        yield (
            f"model.code_from={model.code_from} is not allowed: it names the one model whose own Python code may run "
            f"on this machine with your rights, so it must equal model.path={model.path or 'null'}. Read that model's "
            "*.py files, then write both alike; or leave model.code_from out."
        )
    searched = config.sweep.space if config.sweep else ()
    for permission in PERMISSIONS.keys() - {"evaluate.metric"}:  # tune.config.scoring_rules has more to say of that
        if any(key.startswith(permission) for key in searched):
            yield f"sweep.space has {permission}, which is a permission and nothing to search. Take it out."
