"""The clean rows of a data set, kept in the cache under the content of its files: the slow half of loading."""

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tune import paths
from tune.config.data import DataConfig
from tune.config.digest import digest
from tune.data.account import Account
from tune.data.clean import clean_rows
from tune.data.listener import Listener
from tune.data.source import read_source, source_digest
from tune.data.stored import StoredExamples, write_examples
from tune.examples import Example
from tune.files import read_json, write_json
from tune.kept import make_once

_VERSION = 1
"""Rises when the same files and settings would give other rows."""

_ROWS, _TEST, _ABOUT = "rows.arrow", "test.arrow", "about.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """Rows that may be divided."""

    rows: Sequence[Example]
    clusters: Sequence[int]
    """(N,) Rows of one number say nearly the same."""

    test: Sequence[Example] | None
    """A published test file; None where the rows themselves must give a test split."""

    account: Account
    """So far."""


def load_pool(data: DataConfig, listener: Listener, *, setting: str = "data.path") -> Pool:
    """Return the clean rows, read and cleaned first where the cache has none of these files and settings.

    Args:
        data: Where the rows come from, and how they are read and cleaned.
        listener: Is told how far it is.
        setting: Key that data.path comes from, for complaints.

    Raises:
        DataError: A file is missing or broken, or no row is left.
        OSError: The cache cannot be written.
    """
    folder = paths.cache_dir() / "data" / f"rows-{pool_digest(data, setting=setting)[:24]}"
    make_once(folder, lambda beside: _write(beside, data, listener, setting), announce=listener.announce)
    plain = read_json(folder / _ABOUT)
    assert plain is not None  # the folder's manifest says that it is whole
    rows = StoredExamples(folder / _ROWS)
    return Pool(
        rows=rows,
        clusters=rows.column("cluster"),
        test=StoredExamples(folder / _TEST) if (folder / _TEST).is_file() else None,
        account=Account.from_json(plain),
    )


def pool_digest(data: DataConfig, *, setting: str = "data.path") -> str:
    """Return what tells these rows from all others: what the files say, and how they are read and cleaned."""
    settings = (asdict(data.columns), data.balance.column, asdict(data.clean))
    return digest([_VERSION, source_digest(data, setting=setting), data.format, data.layout, settings])


def _write(folder: Path, data: DataConfig, listener: Listener, setting: str) -> None:
    listener.on("reading", 0, 1)
    source = read_source(data, setting=setting)
    rows, n_stripped = stripped(source.rows)
    cleaned = clean_rows(rows, data.clean, on=listener.on)
    write_examples(folder / _ROWS, cleaned.rows, cluster=cleaned.clusters)
    if source.test is not None:
        write_examples(folder / _TEST, stripped(source.test)[0])
    account = Account(
        source=source.layout,
        n_read=len(source.rows),
        taken=cleaned.taken,
        noted=cleaned.noted,
        held={},
        notes=_on_white_space(n_stripped),
    )
    write_json(folder / _ABOUT, account.to_json())


def stripped(rows: Sequence[Example]) -> tuple[list[Example], int]:
    """Return the rows without white space around what the assistant says, and how many had some.

    Templates differ in whether they take it off, and where they do not, a line break at an answer's beginning is one
    token with the line break before it in several vocabularies: then nobody can say where the answer starts.
    """
    kept, n_changed = [], 0
    for row in rows:
        turns = tuple(
            dataclasses.replace(turn, content=turn.content.strip()) if turn.role == "assistant" else turn
            for turn in row.messages
        )
        clean = dataclasses.replace(row, messages=turns, answer=row.answer.strip())
        n_changed += clean != row
        kept.append(clean)
    return kept, n_changed


def _on_white_space(n_rows: int) -> tuple[str, ...]:
    return (
        (f"{n_rows:,} row{'s' * (n_rows > 1)} had white space around an answer, which was taken off.",)
        if n_rows
        else ()
    )
