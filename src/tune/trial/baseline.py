"""The base's scores, measured once and kept: every trial of every study with the same fingerprint shares them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from tune import paths
from tune.config.digest import digest
from tune.config.metric import Metric
from tune.config.schema import Config
from tune.data.template_check import end_ids
from tune.evaluate.code import code_digest
from tune.files import write_json
from tune.model.digest import tokenizer_digest
from tune.trial.bench import Bench
from tune.trial.measure import Measured, Progress, measure
from tune.trial.task import Task


def fingerprint(config: Config, task: Task, *, weights: str, dtype: str, template: str, ends: Sequence[int]) -> str:
    """Return the digest of all that moves a base score.

    Args:
        config: Quantization, number of shots, form, batch sizes, reply length.
        task: Digests of validation questions, knowledge questions, items of lm-eval's tasks and general texts.
        weights: Digest of the base's files, its tokenizer's among them.
        dtype: Number format that it computes in.
        template: The chat template.
        ends: Tokens at which a reply stops.
    """
    evaluate, data = config.evaluate, config.data
    programs = {"code": code_digest(task.splits.validation, evaluate.code)} if Metric.code in data.metrics else {}
    # What a metric of the user's own is given besides question and answer.
    seen = {"seen": [(e.label, dict(e.extra)) for e in task.splits.validation]} if task.scoring.own else {}
    return digest(
        {
            "version": 2,
            "weights": weights,
            "dtype": dtype,
            "quantization": asdict(config.quantization),
            "template": template,
            "ends": list(ends),
            "validation": [(e.id, [(m.role, m.content) for m in e.messages], e.answer) for e in task.splits.validation],
            "metrics": data.metrics,
            "scoring": task.scoring.digest,
            "max_new_tokens": data.max_new_tokens,
            "stop": data.stop,
            "sampling": asdict(evaluate.sampling),
            "prompts": [asdict(prompt) for prompt in task.prompts],
            "prompts_tokens": [evaluate.prompts_max_tokens, evaluate.prompts_max_new_tokens, data.system],
            "general": [task.bank.name, task.bank.digest] if task.bank else None,
            "tasks": [[one.name, one.digest] for one in task.lm_tasks],
            "corpus": [task.corpus.digest, evaluate.corpus_tokens] if task.corpus else None,
            "n_shot": evaluate.n_shot,
            "form": evaluate.form,
            "batch_sizes": [evaluate.batch_size, evaluate.generation_batch_size],
            **programs,
            **seen,
        }
    )


class Baseline:
    """Base scores in the cache, under their fingerprint; one process measures, the others read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._file = paths.cache_dir() / "baselines" / f"{name}.json"
        self._lock = FileLock(f"{self._file}.lock")

    def measure_if_free(self, measure: Callable[[], Measured]) -> None:
        """Measure and keep, unless it is kept already or another process is at it."""
        if not self._file.is_file():
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with self._lock.acquire(timeout=0):
                    self._fill(measure)
            except Timeout:
                return

    def get(self, measure: Callable[[], Measured]) -> Measured:
        """Return the kept scores; wait for the process that measures them, or measure."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._fill(measure)
        return Measured.from_json(json.loads(self._file.read_text(encoding="utf-8")))

    def _fill(self, measure: Callable[[], Measured]) -> None:
        if not self._file.is_file():
            write_json(self._file, measure().to_json())

    @property
    def file(self) -> Path:
        """Return where the scores are kept."""
        return self._file


def baseline_of(config: Config, bench: Bench, on: Progress) -> tuple[Baseline, Callable[[], Measured]]:
    """Return the base's scores in the cache, and what measures them where they are not there."""
    base = bench.base
    assert base.folder is not None  # it was loaded from there
    name = fingerprint(
        config,
        bench.task,
        weights=digest([base.digest, tokenizer_digest(base.folder)]),
        dtype=str(base.dtype),
        template=str(base.tokenizer.chat_template),
        ends=end_ids(base.tokenizer),
    )

    def measure_base() -> Measured:
        return measure(base.model, base.tokenizer, config, bench.task, fingerprint=name, on=_named("base ", on))

    return Baseline(name), measure_base


def _named(prefix: str, on: Progress) -> Callable[[str, int, int], None]:
    return lambda phase, done, total: on(prefix + phase, done, total)
