"""The names of the metrics that a trial of a given configuration produces."""

from tune.config.evaluation import EvaluateConfig, GeneralKnowledge
from tune.config.lm_tasks import chosen_tasks
from tune.config.metric import OF_LABELS, Metric
from tune.config.schema import Config
from tune.config.scoring_rules import own_name

PREFIX = {GeneralKnowledge.probe: "general/probe", GeneralKnowledge.mmlu: "mmlu"}
"""MMLU is named MMLU; the embedded probe is named for what it is."""

_CHANGES = ("_base", "_delta", "_delta_low", "_delta_high")
PEAK_GIB = "cost/peak_gib"
ESTIMATED_GIB = "cost/estimated_gib"
"""What a study's trial was estimated to hold before it was launched; it has none where that cannot be estimated."""

COSTS = (
    *("cost/seconds", "cost/base_seconds", "cost/train_seconds", "cost/evaluate_seconds"),
    *(PEAK_GIB, "cost/trainable_params", "cost/trainable_share", "cost/train_tokens", "cost/train_steps"),
)

BEST_STEP, PLANNED_STEPS, MADE_STEPS = "train/best_step", "train/planned_steps", "cost/train_steps"
"""Optimizer steps until the weights that were kept, without an early end, and truly made.

The first two are there where train.early_stopping may end a training; the third counts each step once, however often
a trial was interrupted.
"""


def general_names(evaluate: EvaluateConfig) -> list[str]:
    """Return the names under which general knowledge is reported; the first is the score itself."""
    prefix = PREFIX.get(evaluate.general)
    if prefix is None:
        return []
    changes = ("delta", "delta_low", "delta_high", "delta_stderr")
    logprob = [f"{prefix}/logprob", f"{prefix}/logprob_base", *(f"{prefix}/logprob_{change}" for change in changes)]
    return [f"{prefix}/acc", f"{prefix}/acc_base", *(f"{prefix}/{change}" for change in changes), *logprob]


def prompt_names(evaluate: EvaluateConfig) -> list[str]:
    """Return the names under which the replies to the fixed prompts are reported."""
    if evaluate.prompts is None:
        return []
    rates = ("refusal", "jailbreak_refusal", "empty", "repetition", "words")
    return [f"prompts/{rate}{change}" for rate in rates for change in ("", *_CHANGES)]


def task_metrics(config: Config) -> list[str]:
    """Return the names of the task's scores; the first is task/score too."""
    own = [own_name(config.evaluate.metric)[1]] if config.evaluate.metric else []
    return [*own, *(metric.value for metric in config.data.metrics)]


def reply_rates(config: Config) -> list[str]:
    """Return what is counted of the task's replies, whatever is right."""
    has_labels = any(metric in config.data.metrics for metric in OF_LABELS)
    of_programs = ["no_program", "over_limit"] if Metric.code in config.data.metrics else []
    return ["empty", "repetition", "capped", *(["no_label"] if has_labels else []), *of_programs]


def lm_task_names(evaluate: EvaluateConfig) -> list[str]:
    """Return the names under which tasks of lm-eval are reported."""
    changes = ("delta", "delta_low", "delta_high", "delta_stderr")
    names: list[str] = []
    for task in chosen_tasks(tuple(evaluate.tasks), evaluate.tasks_dir):
        score = f"general/{task.name}/{task.metric}"
        names += [score, f"{score}_base", *(f"general/{task.name}/{change}" for change in changes)]
    return names


def metric_names(config: Config) -> list[str]:
    """Return every metric that a complete trial reports; the test of a trial holds it to this list."""
    scores = ["task/score", *(f"task/{metric}" for metric in task_metrics(config))]
    scores += [f"reply/{rate}" for rate in reply_rates(config)]
    names = [f"{score}{change}" for score in scores for change in ("", *_CHANGES)]
    if config.evaluate.perplexity:
        names += [f"perplexity/domain{change}" for change in ("", *_CHANGES)]
    if config.evaluate.corpus is not None:
        names += [f"perplexity/general{change}" for change in ("", *_CHANGES)]
    if config.train.early_stopping.patience is not None:
        names += [BEST_STEP, PLANNED_STEPS]
    names += [*prompt_names(config.evaluate), *general_names(config.evaluate), *lm_task_names(config.evaluate)]
    return [*names, "train/loss", "eval/loss", "eval/loss_base", *COSTS]
