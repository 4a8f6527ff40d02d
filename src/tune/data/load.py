"""The splits of a data set; which rows go where depends on `data.seed` and the rows alone."""

import dataclasses
import hashlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tune.config.data import DataConfig, DataFormat
from tune.config.digest import digest
from tune.data import text_to_sql
from tune.data.chat import read_chat
from tune.data.public_sets import read_banking77, read_gsm8k
from tune.data.rows import inside
from tune.errors import DataError
from tune.examples import Example, Message, Splits


def load_splits(data: DataConfig) -> Splits:
    """Return train, validation and test.

    Raises:
        DataError: A file is missing, broken, or holds too few rows.
    """
    if data.format is DataFormat.text_to_sql:
        return _generated(data)
    if data.format is DataFormat.gsm8k:
        return _published(data, read_gsm8k, "train.jsonl", "test.jsonl")
    if data.format is DataFormat.banking77:
        return _published(data, read_banking77, "train.csv", "test.csv")
    assert data.path is not None
    return _cut(data, read_chat(Path(data.path).expanduser()), held_out=None)


def embedded_texts() -> list[str]:
    """Return texts that come with tune, always the same; the tiny model's tokenizer is made from them."""
    made = text_to_sql.generate(n_train=400, n_validation=1, n_test=1, seed=0)["train"]
    return [f"{example.messages[-1].content}\n{example.answer}" for example in made]


def _generated(data: DataConfig) -> Splits:
    if data.n_train is None:
        msg = "data.n_train=null has no end for data=text_to_sql, which is generated. Give a number, for example 256."
        raise DataError(msg)
    made = text_to_sql.generate(
        n_train=data.n_train, n_validation=data.n_validation, n_test=data.n_test, seed=data.seed
    )
    return _splits(data, made["train"], made["validation"], made["test"])


def _published(data: DataConfig, read: Callable[[Path], list[Example]], train: str, test: str) -> Splits:
    return _cut(data, read(inside(data.path, train)), held_out=read(inside(data.path, test)))


def _cut(data: DataConfig, rows: Sequence[Example], *, held_out: Sequence[Example] | None) -> Splits:
    """Draw validation (and test, where the set has none of its own) first, so that n_train never moves them."""
    pool = _shuffled(rows, data.seed)
    if held_out is None:
        test, pool = pool[: data.n_test], pool[data.n_test :]
    else:
        test = _shuffled(held_out, data.seed)[: data.n_test]
    validation, pool = pool[: data.n_validation], pool[data.n_validation :]
    train = pool if data.n_train is None else pool[: data.n_train]
    if len(validation) < data.n_validation or len(test) < data.n_test or not train:
        msg = (
            f"data.path={data.path} holds {len(rows)} rows, too few for data.n_validation={data.n_validation}, "
            f"data.n_test={data.n_test} and at least one row to train on. Ask for fewer, or add rows."
        )
        raise DataError(msg)
    return _splits(data, train, validation, test)


def _shuffled(rows: Sequence[Example], seed: int) -> list[Example]:
    """Return the rows in an order that depends on their content and the seed, not on their place in the file."""
    keyed = sorted(rows, key=lambda row: (hashlib.sha256(repr((row.messages, row.answer)).encode()).digest(), row.id))
    random.Random(f"split {seed}").shuffle(keyed)  # noqa: S311 - not for secrets
    return keyed


def _splits(data: DataConfig, *parts: Sequence[Example]) -> Splits:
    train, validation, test = (tuple(_with_system(example, data.system) for example in part) for part in parts)
    content = [[dataclasses.asdict(example) for example in part] for part in (train, validation, test)]
    notes = (
        ()
        if data.n_train is None or len(train) == data.n_train
        else (f"data.n_train={data.n_train} was asked for, {len(train)} rows are left to train on.",)
    )
    return Splits(train=train, validation=validation, test=test, digest=digest(content), notes=notes)


def _with_system(example: Example, system: str | None) -> Example:
    if not system or example.messages[0].role == "system":
        return example
    return dataclasses.replace(example, messages=(Message(role="system", content=system), *example.messages))
