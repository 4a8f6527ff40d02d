"""The door to the rows: where they come from, what they look like, and the examples that they are."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tune.config.data import ColumnsConfig, DataConfig, DataFormat, Layout
from tune.data.files import Found, content_digest, find, kind_of
from tune.data.hub import hub_digest, hub_name, hub_rows
from tune.data.layouts import NAMES, settled
from tune.data.public_sets import read_banking77, read_gsm8k
from tune.data.reading import Reading
from tune.data.rows import inside
from tune.errors import DataError
from tune.examples import Example

_PUBLISHED = {
    DataFormat.gsm8k: ("GSM8K", read_gsm8k, ("train.jsonl", "test.jsonl")),
    DataFormat.banking77: ("BANKING77", read_banking77, ("train.csv", "test.csv")),
}

_N_NAMED = 5
"""Most files or keys that a summary names; of more it says the number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What was read."""

    rows: list[Example]

    test: list[Example] | None
    """Rows of a published test file; None where the data set has none."""

    layout: str
    """What the rows were taken for, and what was left unread: ShareGPT, 120 rows of 2 JSON lines files."""

    files: tuple[str, ...]
    """Names of the files, relative to data.path's folder; none for a data set of the hub."""


def read_source(data: DataConfig, *, setting: str = "data.path") -> Source:
    """Return the rows that the settings name; data=text_to_sql has none to read, it is generated.

    Args:
        data: The settings.
        setting: Key that data.path comes from, for complaints.

    Raises:
        DataError: Something cannot be read or used; the text names file and line.
    """
    assert data.path is not None  # config.rules has asked for it
    if data.format in _PUBLISHED:
        return _published(data)
    kept = data.balance.column if data.balance.column != data.columns.label else None
    if data.format is DataFormat.hub:
        return _hub(data, kept)
    assert data.format is DataFormat.files
    return read_rows(data.path, data.layout, data.columns, kept=kept, setting=setting)


def read_rows(
    path: str | Path, layout: Layout, columns: ColumnsConfig, *, kept: str | None = None, setting: str = "data.path"
) -> Source:
    """Return the rows of a file, or of all files of a folder and the folders in it.

    Args:
        path: File or folder.
        layout: What a row looks like; auto sees it from the keys, in each file anew.
        columns: Names of columns.
        kept: A column whose value is kept in `extra` under its name, for balancing.
        setting: Key that the path comes from, for complaints.

    Raises:
        DataError: Something cannot be read or used; the text names file and line.
    """
    layout = settled(layout, columns)
    found = find(str(path), setting=setting)
    rows: list[Example] = []
    seen: list[tuple[Reading, str]] = []
    for name, file in found.files.items():
        kind = kind_of(file)
        assert kind is not None  # find() returns no others
        reading = Reading(layout, columns, kept)
        rows.extend(reading.examples(kind.rows(file), where=str(file), name=name))
        seen.append((reading, kind.name))
    return Source(rows=rows, test=None, layout=_summary(seen, found), files=tuple(found.files))


def source_digest(data: DataConfig, *, setting: str = "data.path") -> str:
    """Return the SHA-256 of everything that `read_source` would read, without looking at a row.

    Of files their names and contents, wherever their folder stands; of a data set of the hub what names its content.
    data.mix.path is not part of it.

    Raises:
        DataError: A file or data set is not there.
    """
    assert data.path is not None
    if data.format is DataFormat.hub:
        return hub_digest(data)
    if data.format in _PUBLISHED:
        return content_digest({name: inside(data.path, name) for name in _PUBLISHED[data.format][2]})
    return rows_digest(data.path, setting=setting)


def rows_digest(path: str | Path, *, setting: str = "data.path") -> str:
    """Return the SHA-256 of the names and contents of all files that `read_rows` would read.

    Raises:
        DataError: A file is not there or cannot be read.
    """
    return content_digest(find(str(path), setting=setting).files)


def _published(data: DataConfig) -> Source:
    asked = [f"data.columns.{name}" for name, value in dataclasses.asdict(data.columns).items() if value is not None]
    if data.layout is not Layout.auto:
        asked.append("data.layout")
    if asked:
        msg = (
            f"data={data.format} does not use {', '.join(asked)}: its files have keys of their own. Leave "
            "that out, or read one file of them with data=jsonl data.path=FILE."
        )
        raise DataError(msg)
    name, read, files = _PUBLISHED[data.format]
    train, test = (read(inside(data.path, file)) for file in files)
    layout = f"{name}, {len(train):,} rows of {files[0]} and {len(test):,} of {files[1]}"
    return Source(rows=train, test=test, layout=layout, files=files)


def _hub(data: DataConfig, kept: str | None) -> Source:
    reading = Reading(settled(data.layout, data.columns), data.columns, kept)
    rows = list(reading.examples(hub_rows(data), where=hub_name(data), name=data.split))
    assert rows  # the library refuses a split that has none
    layout = f"{NAMES[reading.layout]}, {len(rows):,} rows of {hub_name(data)}{_left_unread(reading.unread(), 'key')}"
    return Source(rows=rows, test=None, layout=layout, files=())


def _summary(seen: list[tuple[Reading, str]], found: Found) -> str:
    """Return how many rows and files there are of each layout and kind of file, and what was not read."""
    n_rows: Counter[tuple[str, str]] = Counter()
    n_files: Counter[tuple[str, str]] = Counter()
    for reading, kind in seen:
        n_rows[NAMES[reading.layout], kind] += reading.n_rows
        n_files[NAMES[reading.layout], kind] += 1
    parts = [
        f"{layout}, {_count(n_rows[layout, kind], 'row')} of {_count(n, f'{kind} file')}"
        for (layout, kind), n in n_files.items()
    ]
    keys = set().union(*(reading.unread() for reading, _ in seen))
    return "; ".join(parts) + _left_unread(keys, "key") + _left_unread(found.others, "file")


def _left_unread(names: Iterable[str], noun: str) -> str:
    shown = sorted(repr(name)[1:-1] or "(no name)" for name in names)
    if not shown:
        return ""
    more = f" and {len(shown) - _N_NAMED} more" if len(shown) > _N_NAMED else ""
    return f"; {_count(len(shown), noun)} not read: {', '.join(shown[:_N_NAMED])}{more}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
