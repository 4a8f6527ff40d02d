"""What a trial will hold at most, before its base is loaded: the estimate, made for the rows that it will really read.

What the settings allow is often several times what the data asks for, and would refuse trials that fit.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tune.config.schema import Config
from tune.data.listener import Silent
from tune.data.template import apply_template
from tune.data.tokens import TokenTable
from tune.evaluate.lm_scores import longest_asked, longest_prompt
from tune.evaluate.questions import Question, QuestionBank
from tune.examples import NO_LOSS
from tune.model.load import load_tokenizer, pick_device
from tune.model.memory import Estimate, Lengths, estimate
from tune.trial.general import corpus_tokens
from tune.trial.prepare import prepare_tokens
from tune.trial.prompts import prompt_tokens
from tune.trial.task import Task

_LONGEST = 32
"""Texts with the most characters among which the one with the most tokens is looked for."""

_LETTERS = 24
"""Tokens of a question beside its text and its choices: what is said first, letters, line ends."""


@dataclass(slots=True)
class Forecaster:
    """Remembers what it has estimated: trials often differ in what takes no memory, such as the learning rate."""

    _lengths: dict[str, tuple[Lengths, int]] = field(default_factory=dict)
    _estimates: dict[str, Estimate] = field(default_factory=dict)

    def estimate(self, config: Config, task: Task, folder: Path) -> Estimate:
        """Return the memory of a trial.

        Args:
            config: The trial's whole configuration.
            task: Its data and questions.
            folder: Of its model.

        Raises:
            ConfigError: Its method or quantization are none of those that can be estimated.
            DataError: Its rows cannot be made into tokens.
        """
        train = config.train
        read = repr((config.model, config.data, config.evaluate, train.max_length))
        if read not in self._lengths:
            self._lengths[read] = read_lengths(config, task, folder)
        lengths, n_rows = self._lengths[read]
        batch = min(train.batch_size, n_rows)
        # Neither rate nor number of steps takes memory.
        still = replace(train, learning_rate=1.0, epochs=1.0, max_steps=None, warmup_share=0.0, batch_size=batch)
        key = repr((read, config.lora, config.quantization, still))
        if key not in self._estimates:
            on_gpu = pick_device(config.model.device).type == "cuda"
            sizes = _sizes(config, folder)
            self._estimates[key] = estimate(replace(config, train=still), sizes, lengths=lengths, on_gpu=on_gpu)
        return self._estimates[key]


def _sizes(config: Config, folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=config.model.runs_own_code)


def read_lengths(config: Config, task: Task, folder: Path) -> tuple[Lengths, int]:
    """Return the longest sequences, and how many rows are trained on."""
    from tune.config.data import Learn
    from tune.data.mask import tokenize_all

    tokens = prepare_tokens(config, task.splits, folder, Silent())
    tokenizer = load_tokenizer(config.model, folder)
    apply_template(tokenizer, config.data.template)
    asked = sorted(task.splits.validation, key=lambda example: -len(repr(example)))[:_LONGEST]
    rows = list(tokenize_all(tokenizer, asked, Learn.last))
    questions = _question(tokenizer, task.bank, config.evaluate.n_shot) if task.bank else 0
    documents = corpus_tokens(tokenizer, task.corpus, most=config.evaluate.corpus_tokens)[1] if task.corpus else []
    found = Lengths(
        example=int(tokens.lengths[tokens.lengths <= tokens.max_length].max()),
        learned=_learned(tokens),
        prompt=max(*(row.n_prompt for row in rows), _prompt(tokenizer, config, task)),
        question=max(
            questions,
            longest_asked(tokenizer, [one for one in task.lm_tasks if not one.writes]),
            *(len(row.ids) for row in rows),
            *map(len, documents),
        ),
    )
    return found, tokens.n_rows


def _prompt(tokenizer: Any, config: Config, task: Task) -> int:
    """Return the tokens of a question that takes as much as the longest other prompt with its reply."""
    fixed = max((len(one.ids) for one in prompt_tokens(tokenizer, config, task.prompts)), default=0)
    theirs, new = longest_prompt(tokenizer, task.lm_tasks)
    room = [fixed + config.evaluate.prompts_max_new_tokens if fixed else 0, theirs + new]
    return max(0, max(room) - config.data.max_new_tokens)


def _learned(tokens: TokenTable) -> int:
    """Return the most tokens of one example that the loss is taken on."""
    import pyarrow as pa

    most = 1
    with pa.memory_map(str(tokens.file)) as source, pa.ipc.open_stream(source) as stream:
        for batch in stream:
            labels = batch.column("labels")
            learned = labels.flatten().to_numpy() != NO_LOSS
            starts = labels.offsets.to_numpy()[:-1]
            if len(learned):
                most = max(most, int(np.add.reduceat(learned, starts - starts[0], dtype=np.int64).max()))
    return most


def _question(tokenizer: Any, bank: QuestionBank, n_shot: int) -> int:
    """Return the tokens of the longest question with its solved ones, about as lm-eval writes it."""

    def text(question: Question) -> str:
        shots = bank.shots.get(question.subject, ())[:n_shot]
        return "\n".join(word for one in (*shots, question) for word in (one.text, *one.choices))

    longest = sorted((text(question) for question in bank.test), key=len)[-_LONGEST:]
    return max(len(ids) for ids in tokenizer(longest, add_special_tokens=False)["input_ids"]) + _LETTERS * (n_shot + 1)
