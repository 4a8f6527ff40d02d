"""From a data set's files to the splits of a trial; what is slow is kept in the cache.

    read → clean                                    kept under the files' content and the settings of both (pool.py)
         → leaks → split → leaks → balance → mix    kept under that and the rest of the settings

Which rows go where depends on what they say and on `data.seed`, never on their place in a file.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tune import paths
from tune.config.data import DataConfig, DataFormat
from tune.config.digest import digest
from tune.data import text_to_sql
from tune.data.account import Account
from tune.data.divide import Questions, divide, general_set, not_mixed, to_train_on, with_system
from tune.data.leaks import HeldOut
from tune.data.listener import Listener, Silent
from tune.data.pool import pool_digest
from tune.data.splits import Splits, make_splits, read_splits, write_splits
from tune.errors import AssetError, DataError
from tune.kept import forget_unused, make_once

_VERSION = 1
"""Rises when the same rows and settings would give other splits."""

_KEPT_DAYS = 30
"""Rows, splits and tokens that nobody asked for in so long go; reading them anew costs minutes, keeping them disk."""

_NO_QUESTIONS: Mapping[str, Sequence[str]] = {}


def load_splits(
    data: DataConfig, *, questions: Mapping[str, Sequence[str]] = _NO_QUESTIONS, listener: Listener | None = None
) -> Splits:
    """Return train, validation and test.

    Args:
        data: Where the rows come from and what is done with them.
        questions: Texts that the evaluation asks, by the name of what asks them; rows that repeat one are left out.
        listener: Is told how far slow steps are.

    Raises:
        DataError: A file is missing, broken, or holds too few rows.
        AssetError: The cache cannot be written.
    """
    is_generated = data.format is DataFormat.text_to_sql
    if is_generated and not data.mix.share:
        return _generated(data)
    told = listener or Silent()
    rows = "generated" if is_generated else pool_digest(data)
    name = digest([_VERSION, rows, _mix_digest(data), _settings(data), questions])
    folder = paths.cache_dir() / "data" / f"splits-{name[:24]}"

    def build(beside: Path) -> None:
        made = _mixed(data, questions, told) if is_generated else divide(data, questions, told)
        write_splits(beside, made)

    try:
        make_once(folder, build, announce=told.announce)
        forget_unused(folder.parent, days=_KEPT_DAYS)
    except OSError as error:
        msg = (
            f"cannot write the data to the cache {paths.cache_dir()}: {error.strerror or error}. "
            "Make room or name another folder with the environment variable TUNE_CACHE."
        )
        raise AssetError(msg) from error
    return read_splits(folder)


def embedded_texts() -> list[str]:
    """Return texts that come with tune, always the same; the tiny model's tokenizer is made from them."""
    made = text_to_sql.generate(n_train=400, n_validation=1, n_test=1, seed=0)["train"]
    return [f"{example.messages[-1].content}\n{example.answer}" for example in made]


def _generated(data: DataConfig) -> Splits:
    n_train, n_validation, n_test = data.n_train, data.n_validation, data.n_test
    if n_train is None or n_validation is None or n_test is None:
        name = next(key for key in ("n_train", "n_validation", "n_test") if getattr(data, key) is None)
        msg = f"data.{name}=null has no end for data=text_to_sql, which is generated. Give a number, for example 256."
        raise DataError(msg)
    made = text_to_sql.generate(n_train=n_train, n_validation=n_validation, n_test=n_test, seed=data.seed)
    parts = {name: with_system(rows, data.system) for name, rows in made.items()}
    held = {name: len(rows) for name, rows in parts.items()}
    source = "questions about small tables with their SQL, generated"
    notes = tuple(not_mixed(data))
    return make_splits(parts, Account(source=source, n_read=sum(held.values()), taken=(), held=held, notes=notes))


def _mixed(data: DataConfig, questions: Questions, listener: Listener) -> Splits:
    """Return the generated splits, with general rows mixed into training."""
    made = _generated(data)
    held_out: HeldOut = {"validation": made.validation, "test": made.test, **questions}
    train, steps, notes = to_train_on(data, list(made.train), held_out, listener)
    parts = {"train": with_system(train, data.system), "validation": made.validation, "test": made.test}
    account = dataclasses.replace(made.account, taken=tuple(steps), notes=tuple(notes))
    return make_splits(parts, account)


def _settings(data: DataConfig) -> dict[str, object]:
    """Return what decides about the splits besides the clean rows."""
    named = ("validation", "test", "n_train", "n_validation", "n_test", "leaks", "leak_ngram", "seed", "system")
    return {name: getattr(data, name) for name in named} | {"balance": asdict(data.balance), "mix": asdict(data.mix)}


def _mix_digest(data: DataConfig) -> str | None:
    general = general_set(data)
    return pool_digest(general, setting="data.mix.path") if general else None
