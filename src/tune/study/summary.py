"""What a study is about to do, in the rows that a person reads before it starts."""

from pathlib import Path

from tune.config.compose import difference
from tune.config.metrics import task_metrics
from tune.config.pruning import READ, Pruner
from tune.config.schema import Config, Sampler
from tune.data.splits import Splits
from tune.study.machine import n_threads, n_workers
from tune.study.space import Choices, Dimension, Space, Span, describe
from tune.study.storage import n_wanted
from tune.track.records import StudyRecord


def state(now: StudyRecord, *, is_new: bool) -> str:
    """Return how far the study is."""
    return "new" if is_new else f"going on: {now.done} of {now.n_trials} trials have ended"


def summary(config: Config, space: Space, runs: Path, splits: Splits, *, how_far: str) -> list[tuple[str, str]]:
    """Return (name, words) of everything that decides what the study does."""
    assert config.sweep is not None
    searched = overridden(space, config)
    changed = " ".join(word for word in difference(config) if word not in searched)
    quantization = "searched" if "quantization.kind" in _searched(space, config) else config.quantization.kind
    return [
        ("question", config.sweep.question),
        ("study", how_far),
        ("search", "; ".join(dimension_words(dimension) for dimension in space.dimensions)),
        *describe(space, config),
        _objective(config),
        *([("guards", ", ".join(guard.words for guard in config.sweep.guards))] if config.sweep.guards else []),
        ("trials", f"{n_wanted(config, space)} ({_sampler(config)}), {_seeds(config)}"),
        *([] if config.study.pruner is Pruner.none else [("pruner", _pruner(config))]),
        *([] if config.train.early_stopping.patience is None else [("early end", _early_end(config))]),
        ("model", f"{_model(space, config)}, quantization {quantization}"),
        ("data", splits.words),
        ("forgetting", _forgetting(config)),
        ("verdict", _finals(config)),
        ("workers", f"{n_workers(config)} with {n_threads(config)} thread(s) each"),
        ("folder", str(runs)),
        *([("overrides", changed)] if changed else []),
        *(
            [("no effect", f"{' '.join(searched)}: every trial has a value of its own, from sweep.space")]
            if searched
            else []
        ),
    ]


def overridden(space: Space, config: Config) -> list[str]:
    """Return the overrides that no trial is run with, because the space sets their keys at every point."""
    return [word for word in difference(config) if word.partition("=")[0] in _searched(space, config)]


def _searched(space: Space, config: Config) -> set[str]:
    """Return the keys that every point sets, also those that all options of a searched group set."""
    assert config.sweep is not None
    always = {dimension.key for dimension in space.dimensions if not dimension.when}
    by_options = (key for group in config.sweep.options.keys() & always for key in _set_by(config, group))
    return always.union(by_options)


def _set_by(config: Config, group: str) -> set[str]:
    assert config.sweep is not None
    return {key for option in config.sweep.options[group].values() for key in option}


def _model(space: Space, config: Config) -> str:
    searched = _searched(space, config)
    return "searched" if "model.path" in searched or "model.embedded" in searched else config.model.label


def _objective(config: Config) -> tuple[str, str]:
    assert config.sweep is not None
    objectives, score = config.sweep.all_objectives, task_metrics(config)[0]
    if len(objectives) == 1:
        return "objective", f"{objectives[0].direction} {objectives[0].metric} ({score})"
    words = (f"{one.direction} {one.metric}" for one in objectives)
    return "objectives", f"{', '.join(words)}; the task's score is {score}; the study ends with their Pareto front"


def _sampler(config: Config) -> str:
    study = config.study
    return f"nsga2, {study.population} a generation" if study.sampler is Sampler.nsga2 else study.sampler.value


def _seeds(config: Config) -> str:
    assert config.sweep is not None
    seeds = config.sweep.seeds
    return f"seeds {', '.join(map(str, seeds))} a point" if seeds else f"seed {config.seed}"


def _pruner(config: Config) -> str:
    study = config.study
    settings = [f"{name} {getattr(study.pruning, name)}" for name in sorted(READ[study.pruner])]
    return ", ".join([f"{study.pruner}, by eval loss at {config.train.evals} point(s) on the way", *settings])


def _early_end(config: Config) -> str:
    stopping = config.train.early_stopping
    by = f" by {stopping.least_gain:g}" if stopping.least_gain else ""
    return (
        f"of a trial after {stopping.patience} of {config.train.evals} measurement(s) in a row whose eval loss is not "
        f"lower{by}; each keeps its best weights"
    )


def _forgetting(config: Config) -> str:
    evaluate, parts = config.evaluate, []
    if evaluate.general != "none":
        amount = "all questions" if evaluate.limit is None else f"{evaluate.limit} question(s) a subject"
        if evaluate.items is not None:
            amount = f"{evaluate.items} questions in proportion to the subjects"
        parts.append(f"{evaluate.general}, {amount}, {evaluate.n_shot}-shot, {evaluate.form}")
    if evaluate.tasks:
        each = "all items" if evaluate.tasks_limit is None else f"at most {evaluate.tasks_limit} items each"
        parts.append(f"{', '.join(evaluate.tasks)} ({each})")
    if evaluate.corpus is not None:
        parts.append(f"perplexity of general texts ({evaluate.corpus})")
    return "; ".join(parts) or "not measured"


def _finals(config: Config) -> str:
    evaluate = config.evaluate
    if not evaluate.finalists:
        return "none (evaluate.finalists=0)"
    asked = "all questions" if evaluate.finalists_full else "the trials' questions"
    return f"by the test split, {asked}, for the best {evaluate.finalists} (adapter, and merged as it would be served)"


def dimension_words(dimension: Dimension) -> str:
    """Return what varies, and over what."""
    if isinstance(dimension, Span):
        words = f"{dimension.key} {dimension.low:g} to {dimension.high:g}{' (log)' if dimension.log else ''}"
    else:
        values = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in dimension.values)
        times = "" if isinstance(dimension, Choices) else f" x {dimension.times}"
        words = f"{dimension.key} {{{values}}}{times}"
    conditions = (f"{c.key} in {{{', '.join(map(str, c.values))}}}" for c in dimension.when)
    return f"{words} where {' and '.join(conditions)}" if dimension.when else words
