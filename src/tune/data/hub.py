"""Rows of a data set of the Hugging Face hub, through `datasets`; no code of a data set is ever run."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tune.config.data import DataConfig
from tune.data.rows import Row, Values
from tune.data.tables import arrow_rows
from tune.errors import DataError

_BATCH = 1024
"""Rows that are held as Python objects at once."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_rows(data: DataConfig) -> Iterator[Row]:
    """Yield the rows of the split; a class that is stored as a number is given by its name.

    Raises:
        DataError: The data set, its subset or split cannot be had.
    """
    loaded = _loaded(data)
    classes = {name: feature.names for name, feature in loaded.features.items() if hasattr(feature, "int2str")}
    for row in arrow_rows(loaded.with_format("arrow").iter(batch_size=_BATCH)):
        yield row._replace(values=_with_names(row.values, classes)) if classes else row


def hub_digest(data: DataConfig) -> str:
    """Return the SHA-256 of what the rows depend on: id, subset, split, revision, and the fingerprint of `datasets`.

    A commit says all there is to know, so its data set is not even opened.

    Raises:
        DataError: The data set, its subset or split cannot be had.
    """
    folder = _folder(data)
    pinned = folder is None and _COMMIT.fullmatch(data.revision or "")
    fingerprint = None if pinned else _loaded(data)._fingerprint  # noqa: SLF001 - it has no other name
    parts = [None if folder else data.path, data.subset, data.split, data.revision, fingerprint]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def hub_name(data: DataConfig) -> str:
    """Return what is read, for a person: id, subset, split and revision."""
    at = f" at {data.revision}" if data.revision else ""
    subset = f" subset {data.subset}" if data.subset else ""
    return f"{data.path}{subset} split {data.split}{at}"


def _loaded(data: DataConfig) -> Any:
    import datasets

    folder = _folder(data)
    if folder and data.revision:
        msg = f"data.revision={data.revision} is set, but data.path={data.path} is a folder here, which has none. "
        raise DataError(msg + "Leave data.revision out.")
    try:
        # The library runs no code of a data set (it gave that up with version 4), and nothing here asks it to.
        return datasets.load_dataset(folder or data.path, name=data.subset, split=data.split, revision=data.revision)
    except (datasets.exceptions.DatasetsError, OSError, ValueError, RuntimeError) as error:
        why = " ".join(f"{error} {error.__cause__ or ''}".split())[:400].rstrip(".!? ")
        msg = (
            f"the data set {hub_name(data)} cannot be had: {why}. Check data.path, data.subset, data.split and "
            "data.revision; without the network, download its files elsewhere and give them with data=jsonl "
            "data.path=FILE_OR_FOLDER."
        )
        raise DataError(msg) from error


def _folder(data: DataConfig) -> str | None:
    """Return the folder that the id means here, as the library would take it, or None for a data set of the hub."""
    assert data.path is not None  # config.rules has asked for it
    place = os.path.expanduser(data.path)  # noqa: PTH111
    return place if os.path.isdir(place) else None  # noqa: PTH112 - Path.is_dir raises for a name that is too long


def _with_names(values: Values, classes: Mapping[str, Sequence[str]]) -> Values:
    """Return the row with its classes by name; a class that is not told is null (or -1) and stays null."""
    return values | {
        name: names[number] if (number := values[name]) is not None and number >= 0 else None
        for name, names in classes.items()
    }
