"""How a model answers multiple-choice questions, as lm-eval asks and scores them.

lm-eval's own MMLU task definitions make the prompts and the scores, and its own `hf` model computes the
log-probabilities. The scan of all its tasks (7 to 10 s) is gone around.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.evaluation import ChoiceForm
from tune.errors import Diverged
from tune.evaluate.questions import Question, QuestionBank, check_shots
from tune.evaluate.reader import (
    Progress,
    cut_requests,
    evaluating,
    longest_text,
    open_reader,
    quiet,
    templates_compiled_once,
)

N_CHOICES = 4
FOLDER = {ChoiceForm.letter: "default", ChoiceForm.continuation: "continuation"}  # of lm_eval/tasks/mmlu
SUFFIX = {ChoiceForm.letter: "", ChoiceForm.continuation: "_continuation"}  # of its task names


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceScores:
    """How a model did on each question of a bank, in the bank's order."""

    ids: tuple[str, ...]
    """(N,) id of each question."""

    subjects: tuple[str, ...]
    """(N,) subject of each question, the clusters of a comparison."""

    correct: NDArray[np.float64]
    """(N,) 1 where the most probable choice is the right one, else 0: lm-eval's `acc`, its headline for both forms."""

    correct_norm: NDArray[np.float64] | None
    """(N,) the same after each log-probability is divided by the choice's length in characters: lm-eval's
    `acc_norm`, which its continuation task has and its letter task does not."""

    logprobs: NDArray[np.float64]
    """(N, 4) log-probability of each choice after the prompt, in nats, summed over its tokens."""

    right_logprob: NDArray[np.float64]
    """(N,) log-probability of the right choice, in nats; moves where accuracy is still at chance."""

    n_truncated: int
    """Questions whose prompt did not fit the model's context and lost its beginning."""


def score_choices(  # noqa: PLR0913 - a model and its tokenizer are one thing in two objects
    model: Any,
    tokenizer: Any,
    bank: QuestionBank,
    *,
    form: ChoiceForm,
    n_shot: int,
    batch_size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> ChoiceScores:
    """Return a model's scores on every question of a bank; the model and the tokenizer stay as they were.

    Args:
        model: A causal language model of transformers, quantized or not, or a PEFT model around one.
        tokenizer: Its tokenizer, with the special tokens that it adds by itself, as lm-eval's `hf` model uses it.
        bank: The questions.
        form: Compare the letters A to D, or the texts of the choices.
        n_shot: Solved questions shown before each one, the first of the subject's.
        batch_size: Sequences in one forward pass; changes scores slightly, so it belongs in the fingerprint.
        on_progress: Called with questions done and questions in all, each time more are done.

    Raises:
        ConfigError: A subject has fewer than `n_shot` solved questions.
        Diverged: A log-probability is NaN or infinite.

    Source: https://github.com/EleutherAI/lm-evaluation-harness, tasks mmlu and mmlu_continuation.
    """
    check_shots(bank, n_shot)
    with quiet(), templates_compiled_once(), evaluating(model):
        tasks = _tasks(bank, form)
        requests = [request for question in bank.test for request in _requests(tasks, question, n_shot)]
        reader = open_reader(model, tokenizer, batch_size)
        reader.set_cache_hook(Progress(len(bank.test), requests_each=N_CHOICES, report=on_progress))
        answers = reader.loglikelihood(requests, disable_tqdm=True)
        return _scores(
            bank, tasks, answers, n_truncated=len({place // N_CHOICES for place in cut_requests(reader, requests)})
        )


def longest_request(tokenizer: Any, bank: QuestionBank, *, form: ChoiceForm, n_shot: int) -> int:
    """Return how many tokens of the longest question the model reads; the last one of all is only predicted."""
    check_shots(bank, n_shot)
    with quiet(), templates_compiled_once():
        tasks = _tasks(bank, form)
        requests = [request for question in bank.test for request in _requests(tasks, question, n_shot)]
        texts = {"".join(request.args) for request in requests}
    return longest_text(tokenizer, texts) - 1


def _tasks(bank: QuestionBank, form: ChoiceForm) -> dict[str, Any]:
    """Return lm-eval's task of each subject, over the bank's rows instead of the hub's."""
    import lm_eval.tasks
    from lm_eval.api.task import ConfigurableTask

    folder = Path(lm_eval.tasks.__file__).parent / "mmlu" / FOLDER[form]
    index = lm_eval.tasks.TaskManager(include_defaults=False, include_path=folder).task_index
    asked: dict[str, list[Question]] = {}
    for question in bank.test:
        asked.setdefault(question.subject, []).append(question)
    tasks = {}
    for subject, questions in asked.items():
        rows = functools.partial(_splits, questions, bank.shots.get(subject, ()))
        tasks[subject] = ConfigurableTask(config={**_definition(index, subject, SUFFIX[form]), "custom_dataset": rows})
    return tasks


def _definition(index: Mapping[str, Any], subject: str, suffix: str) -> dict[str, Any]:
    """Return lm-eval's definition of a subject's task, or the like for a subject that MMLU does not have.

    Its definitions differ in their names and in the last words of the description only.
    """
    if known := index.get(f"mmlu_{subject}{suffix}"):
        return dict(known.cfg)
    pattern = index[f"mmlu_anatomy{suffix}"].cfg
    description = pattern["description"].replace("anatomy", subject.replace("_", " "))
    return {**pattern, "task": f"mmlu_{subject}{suffix}", "dataset_name": subject, "description": description}


def _splits(test: Sequence[Question], shots: Sequence[Question], **_metadata: Any) -> Any:
    """Return a subject's rows to lm-eval, which hands its task's metadata to whoever loads them."""
    import datasets

    rows = {"test": [_row(question) for question in test], "dev": [_row(question) for question in shots]}
    return datasets.DatasetDict({name: datasets.Dataset.from_list(split) for name, split in rows.items()})


def _row(question: Question) -> dict[str, Any]:
    """Return a question under the column names of the hub's cais/mmlu."""
    return {
        "question": question.text,
        "subject": question.subject,
        "choices": list(question.choices),
        "answer": question.answer,
    }


def _requests(tasks: Mapping[str, Any], question: Question, n_shot: int) -> list[Any]:
    """Return lm-eval's four requests of a question: the same prompt, one choice each."""
    task, row = tasks[question.subject], _row(question)
    prompt = task.fewshot_context(row, num_fewshot=n_shot, gen_prefix=task.doc_to_prefix(row))
    requests: list[Any] = task.construct_requests(doc=row, ctx=prompt, metadata=(task.config.task, question.id, 1))
    assert len(requests) == N_CHOICES, f"{len(requests)} requests for {question.id}"
    return requests


def _scores(
    bank: QuestionBank, tasks: Mapping[str, Any], answers: Sequence[tuple[float, bool]], *, n_truncated: int
) -> ChoiceScores:
    """Return lm-eval's verdict on its own answers, as arrays."""
    logprobs = np.array([logprob for logprob, _greedy in answers], dtype=np.float64).reshape(-1, N_CHOICES)
    bad = int(np.count_nonzero(~np.isfinite(logprobs).all(axis=1)))
    if bad:
        msg = f"{bank.name}: the log-probabilities of {bad} of {len(bank.test)} questions are NaN or infinite"
        raise Diverged(msg)
    verdicts = [
        tasks[question.subject].process_results(_row(question), answers[N_CHOICES * i : N_CHOICES * (i + 1)])
        for i, question in enumerate(bank.test)
    ]
    has_norm = "acc_norm" in verdicts[0]
    return ChoiceScores(
        ids=tuple(question.id for question in bank.test),
        subjects=tuple(question.subject for question in bank.test),
        correct=np.array([verdict["acc"] for verdict in verdicts], dtype=np.float64),
        correct_norm=np.array([verdict["acc_norm"] for verdict in verdicts], dtype=np.float64) if has_norm else None,
        logprobs=logprobs,
        right_logprob=logprobs[np.arange(len(bank.test)), [question.answer for question in bank.test]],
        n_truncated=n_truncated,
    )
