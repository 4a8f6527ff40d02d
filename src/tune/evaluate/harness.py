"""How a model answers multiple-choice questions, as lm-eval asks and scores them.

lm-eval's own MMLU task definitions make the prompts and the scores, and its own `hf` model computes the
log-probabilities. Three things of it are gone around: the scan of all its tasks (7 to 10 s), the
compiling of a prompt template for every question (70 s for MMLU with five shots), and its hold on the
model, which it would switch to eval mode and leave there. This is the only module that knows lm-eval.
"""

import copy
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.evaluation import ChoiceForm
from tune.errors import Diverged
from tune.evaluate.questions import Question, QuestionBank, check_shots

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
    with _quiet(), _templates_compiled_once(), _evaluating(model):
        tasks = _tasks(bank, form)
        requests = [request for question in bank.test for request in _requests(tasks, question, n_shot)]
        reader = _reader(model, tokenizer, batch_size)
        reader.set_cache_hook(_Progress(len(bank.test), on_progress))
        answers = reader.loglikelihood(requests, disable_tqdm=True)
        return _scores(bank, tasks, answers, n_truncated=_n_truncated(reader, requests))


def longest_request(tokenizer: Any, bank: QuestionBank, *, form: ChoiceForm, n_shot: int) -> int:
    """Return how many tokens of the longest question the model reads; the last one of all is only predicted."""
    check_shots(bank, n_shot)
    with _quiet(), _templates_compiled_once():
        tasks = _tasks(bank, form)
        requests = [request for question in bank.test for request in _requests(tasks, question, n_shot)]
        texts = {"".join(request.args) for request in requests}
    longest = 0
    for text in sorted(texts, key=lambda text: -len(text.encode())):
        if len(text.encode()) + 8 <= longest:  # a token has at least a byte, save for a few special ones
            break
        longest = max(longest, len(tokenizer(text).input_ids))
    return longest - 1


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


def _reader(model: Any, tokenizer: Any, batch_size: int) -> Any:
    """Return lm-eval's `hf` model around a live one."""
    from lm_eval.models.huggingface import HFLM

    if tokenizer.pad_token_id is None:
        tokenizer = copy.deepcopy(tokenizer)  # HFLM would set a padding token on the caller's
    # Log-softmax in bfloat16 keeps three digits, so choices tie; in float32 nothing changes.
    return HFLM(pretrained=_View(model), tokenizer=tokenizer, batch_size=batch_size, softmax_dtype="float32")


class _View:
    """What lm-eval may see of a model: where it is, how it is configured, and its logits.

    It is no torch module, so lm-eval neither changes its mode nor ties its weights again.
    """

    def __init__(self, model: Any) -> None:
        self.device = model.device
        self.config = model.config
        self._model = model

    def __call__(self, token_ids: Any) -> Any:
        """Return the model's output for a batch of tokens, (B, T), padded on the right: logits are (B, T, V)."""
        return self._model(token_ids, use_cache=False)


class _Progress:
    """Hears from lm-eval after each request, in the place of its cache of answers."""

    def __init__(self, n_questions: int, report: Callable[[int, int], None] | None) -> None:
        self._n_questions = n_questions
        self._report = report
        self._n_answers = 0

    def add_partial(self, _kind: str, _request: Any, _answer: Any) -> None:
        """Count one more answer and report when that makes four."""
        self._n_answers += 1
        done, rest = divmod(self._n_answers, N_CHOICES)
        if self._report and not rest:
            self._report(done, self._n_questions)


def _n_truncated(reader: Any, requests: Sequence[Any]) -> int:
    """Return how many questions have a prompt that lm-eval cut on the left to fit the model's context."""
    most = reader.max_length + 1  # the last token is only predicted, never read
    cut = set()
    for number, request in enumerate(requests):
        text = "".join(request.args)
        # A token has at least a byte, save for a few special ones: short texts need no second look.
        if len(text.encode()) + 8 > most and len(reader.tok_encode(text)) > most:
            cut.add(number // N_CHOICES)
    return len(cut)


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep lm-eval from warning of a live model and local rows, once a subject."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _templates_compiled_once() -> Iterator[None]:
    """Make lm-eval's template environment remember what it compiled.

    It compiles the same few templates for every question and shot: 4.9 ms a question with five shots, else 0.1.
    """
    from lm_eval.utils import env

    env.from_string = functools.cache(env.from_string)
    try:
        yield
    finally:
        del env.from_string  # the method of the class is there again


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Switch dropout off, and afterwards give each module the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
