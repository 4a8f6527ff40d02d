"""Everything that all trials of a study share: the data, the knowledge questions, the model's folder."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from tune.config.evaluation import EvaluateConfig, GeneralKnowledge
from tune.config.metric import Metric
from tune.config.schema import Config
from tune.data.listener import Listener
from tune.data.load import embedded_texts, load_splits
from tune.data.mix import MIXED
from tune.data.splits import Splits
from tune.evaluate.code import check_tests
from tune.evaluate.code_jail import check_jail
from tune.evaluate.corpus import Corpus, read_corpus
from tune.evaluate.items import draw_items
from tune.evaluate.lm_items import LmTask, read_lm_tasks
from tune.evaluate.prompts import Prompt, read_prompts
from tune.evaluate.questions import Question, QuestionBank, check_shots, read_hub_mmlu, read_mmlu, read_probe
from tune.evaluate.scoring import Scoring, read_scoring
from tune.model.assets import embedded_folder
from tune.model.hub import local_folder
from tune.model.source import check_source, resolve_source

_ALONE = ", asked alone"
"""Behind the name of what asks, where the questions stand without their choices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is asked of base and adapted model alike."""

    splits: Splits
    bank: QuestionBank | None
    """Knowledge questions; None when forgetting is not measured."""

    prompts: tuple[Prompt, ...] = ()
    """Fixed prompts, to see what else changed; none when nobody asked for them."""

    scoring: Scoring = field(default_factory=Scoring)
    """What replies are held against."""

    lm_tasks: tuple[LmTask, ...] = ()
    """Tasks of lm-eval with their items; none when nobody asked for them."""

    corpus: Corpus | None = None
    """General texts; None when their perplexity is not measured."""

    def asked(self) -> dict[str, Any]:
        """Return the questions as plain data, for who reads the replies later: the data may be gone by then."""
        rows = self.splits.validation
        return {
            "split": "validation",
            "examples": [{"id": e.id, "question": e.question, "answer": e.answer} for e in rows],
            "prompts": [{"id": prompt.id, "kind": prompt.kind, "prompt": prompt.text} for prompt in self.prompts],
        }


def read_task(config: Config, listener: Listener | None = None) -> Task:
    """Return the data and all that is asked; torch is not imported, so that a mistake in a file is told at once.

    What comes from the hub is fetched here, so a trial needs no network.

    Args:
        config: Its data, and the questions of its evaluation.
        listener: Is told how far slow steps are.

    Raises:
        ConfigError: The model's folder or a setting of the evaluation is not usable.
        DataError: A data file is missing, broken, or holds too little; or programs are to be run and have no tests.
        EvaluationError: What is asked cannot be fetched, or this machine cannot shut in programs that are to be run.
    """
    check_source(config.model)
    whole = _questions(replace(config.evaluate, limit=None))
    bank = _bank(config.evaluate, whole)
    if bank is not None:
        check_shots(bank, config.evaluate.n_shot)
    # All that may be asked, also what only finalists are: nobody is to be trained on it.
    questions = _forms(whole) if whole else {}
    lm_tasks = _lm_tasks(config.evaluate, listener)
    for one in lm_tasks:
        questions |= {f"general/{one.name}": list(one.texts), f"general/{one.name}{_ALONE}": list(one.asked)}
    corpus = read_corpus(config.evaluate) if config.evaluate.corpus is not None else None
    questions |= {"corpus": list(corpus.documents)} if corpus else {}
    prompts = read_prompts(config.evaluate.prompts) if config.evaluate.prompts else ()
    splits = load_splits(config.data, questions=questions, listener=listener)
    if Metric.code in config.data.metrics:
        check_tests([*splits.validation, *splits.test])
        check_jail(config.evaluate.code)
    scoring = read_scoring(config.data, config.evaluate, _answers(splits))
    return Task(splits=splits, bank=bank, prompts=prompts, scoring=scoring, lm_tasks=lm_tasks, corpus=corpus)


def _answers(splits: Splits) -> list[str]:
    """Return the right answers of the task; general rows among those to train on are none of it."""
    rows = [row for part in (splits.train, splits.validation, splits.test) for row in part]
    return [row.answer for row in rows if not row.id.startswith(MIXED)]


def _lm_tasks(evaluate: EvaluateConfig, listener: Listener | None) -> tuple[LmTask, ...]:
    return read_lm_tasks(
        evaluate.tasks,
        own=evaluate.tasks_dir,
        limit=evaluate.tasks_limit,
        seed=evaluate.items_seed,
        on_task=lambda name: listener.announce(f"reading {name} for lm-eval") if listener else None,
    )


def _forms(bank: QuestionBank) -> dict[str, list[str]]:
    """Return the questions as rows may hold them: with their choices, without, and with letters before them."""
    return {
        bank.name: [" ".join((one.text, *one.choices)) for one in bank.test],
        f"{bank.name}{_ALONE}": [one.text for one in bank.test],
        f"{bank.name}, with letters": [_lettered(one) for one in bank.test],
    }


def _lettered(question: Question) -> str:
    choices = (f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, question.choices, strict=False))
    return " ".join((question.text, *choices))


def model_folder(config: Config, *, announce: Callable[[str], None]) -> Path:
    """Return the model's folder on this machine; an embedded or a hub model is fetched or made first.

    Raises:
        AssetError: It cannot be had.
    """
    if config.model.path is not None:
        return local_folder(resolve_source(config.model), config.model)
    assert config.model.embedded is not None
    return embedded_folder(config.model.embedded, texts=embedded_texts(), announce=announce)


def _bank(evaluate: EvaluateConfig, whole: QuestionBank | None) -> QuestionBank | None:
    """Return the questions that are asked, of all that there are."""
    if whole is None or evaluate.items is None:
        return whole if evaluate.limit is None else _questions(evaluate)
    return draw_items(whole, evaluate.items, seed=evaluate.items_seed)


def _questions(evaluate: EvaluateConfig) -> QuestionBank | None:
    if evaluate.general is GeneralKnowledge.none:
        return None
    if evaluate.general is GeneralKnowledge.probe:
        return read_probe(limit=evaluate.limit)
    if evaluate.mmlu_dir is None:
        return read_hub_mmlu(limit=evaluate.limit)
    return read_mmlu(Path(evaluate.mmlu_dir).expanduser(), limit=evaluate.limit)
