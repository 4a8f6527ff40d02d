"""Which searches for several objectives cannot be run, and which settings of nsga2 have no effect."""

from collections.abc import Iterator

from tune.config.objective import ObjectiveConfig
from tune.config.pruning import Pruner
from tune.config.schema import Config, Sampler, StudyConfig

_LEAST = 2


def impossible_objectives(config: Config) -> Iterator[str]:
    """Yield a sentence for every combination that cannot work."""
    yield from _population(config)
    objectives = config.sweep.objectives if config.sweep else []
    if config.sweep is None or not objectives:
        return
    metrics = [objective.metric for objective in objectives]
    if len(objectives) < _LEAST or len(set(metrics)) < len(metrics):
        yield (
            f"sweep.objectives names {', '.join(metrics)}, which is not allowed: name two or more different metrics. "
            "For a single one, set sweep.objective."
        )
    if config.sweep.objective != ObjectiveConfig():
        yield (
            f"sweep.objective.metric={config.sweep.objective.metric} "
            f"({config.sweep.objective.direction}) has no effect with sweep.objectives ({', '.join(metrics)}): put it "
            "in that list, or leave one of the two out."
        )
    if config.study.pruner is not Pruner.none:
        yield (
            f"study.pruner={config.study.pruner} is not allowed with sweep.objectives: a trial is stopped by one "
            "measure on the way, and it may be the best in another. Take study.pruner=none, or a single "
            "sweep.objective."
        )
    if config.study.sampler is Sampler.cmaes:
        yield (
            "study.sampler=cmaes is not allowed with sweep.objectives: it adapts one covariance to one objective. "
            "Take study.sampler=nsga2, tpe or gp."
        )


def _population(config: Config) -> Iterator[str]:
    population, n_trials = config.study.population, config.study.n_trials
    if config.study.sampler is not Sampler.nsga2:
        if population != StudyConfig().population:
            yield (
                f"study.population={population} has no effect with study.sampler={config.study.sampler}: take "
                "study.sampler=nsga2, or leave it out."
            )
    elif config.sweep and n_trials is not None and n_trials <= population:
        yield (
            f"study.n_trials={n_trials} is not allowed with study.sampler=nsga2 and study.population={population}: the "
            "first generation is drawn at random, and nothing would be bred from it. Take more trials, best several "
            "times as many, a smaller study.population, or study.sampler=random."
        )
