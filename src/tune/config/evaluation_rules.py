"""Combinations of evaluation settings that cannot work. Ranges stand in tune.config.rules."""

from collections.abc import Iterator

from tune.config.evaluation import EvaluateConfig, GeneralKnowledge
from tune.config.judge import impossible_judge
from tune.config.lm_tasks import chosen_tasks
from tune.errors import ConfigError

_MAX_SHOTS = {GeneralKnowledge.probe: 3, GeneralKnowledge.mmlu: 5}


def impossible_evaluation(evaluate: EvaluateConfig) -> Iterator[str]:
    """Yield a sentence for every combination that cannot work."""
    shots = _MAX_SHOTS.get(evaluate.general, evaluate.n_shot)
    if evaluate.n_shot > shots:
        yield f"evaluate.n_shot={evaluate.n_shot} is not allowed: {evaluate.general} has {shots} solved ones a subject."
    if evaluate.mmlu_dir and evaluate.general is not GeneralKnowledge.mmlu:
        yield "evaluate.mmlu_dir is set, but MMLU is not evaluated: add evaluate=mmlu, or leave the folder out."
    if evaluate.items is not None and evaluate.limit is not None:
        yield (
            f"evaluate.items={evaluate.items} and evaluate.limit={evaluate.limit} both say how many questions are "
            "asked, in all and a subject: add evaluate.limit=null, or leave evaluate.items out."
        )
    if evaluate.items is not None and evaluate.general is GeneralKnowledge.none:
        yield f"evaluate.items={evaluate.items} has no effect with evaluate.general=none: leave one of the two out."
    yield from impossible_judge(evaluate.judge)
    yield from _impossible_tasks(evaluate)


def _impossible_tasks(evaluate: EvaluateConfig) -> Iterator[str]:
    if evaluate.tasks_dir is not None and not evaluate.tasks:
        yield f"evaluate.tasks_dir={evaluate.tasks_dir} has no effect without evaluate.tasks: name tasks of it."
    try:
        chosen = chosen_tasks(tuple(evaluate.tasks), evaluate.tasks_dir)
    except ConfigError as error:
        yield str(error)
        return
    if any(task.name == "probe" for task in chosen):
        yield "evaluate.tasks has a task named probe, as the embedded questions are in the metrics: rename it."
