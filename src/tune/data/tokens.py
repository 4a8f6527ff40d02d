"""The training split as token ids and labels, kept under what they depend on and mapped into memory for all workers."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune import paths
from tune.config.data import DataConfig
from tune.config.digest import digest
from tune.data.listener import Listener
from tune.data.mask import pieces, tokenize_all
from tune.data.splits import Splits
from tune.data.template import template_digest
from tune.errors import DataError
from tune.examples import NO_LOSS
from tune.files import read_json, write_json
from tune.kept import make_once

N_PREVIEW = 5
"""Examples that a person is shown with their learned tokens."""

_VERSION = 1
"""Rises when the same rows and template would give other tokens."""

_BATCH = 2_000
_TOKENS, _LENGTHS, _ABOUT = "tokens.arrow", "lengths.npy", "about.json"

Piece = tuple[str, bool]
"""A text, and whether it is learned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenTable:
    """What training reads."""

    file: Path
    """Arrow stream of input_ids and labels, a row an example that is short enough."""

    lengths: NDArray[np.int32]
    """(N,) tokens of every training example, of those that were left out too."""

    max_length: int
    """Longer examples are left out: their answers would have no end."""

    n_learned: int
    """Tokens the loss is taken on."""

    preview: tuple[tuple[Piece, ...], ...]
    """The first examples, in pieces."""

    name: str
    """Digest of everything that the tokens depend on."""

    @property
    def n_left_out(self) -> int:
        """Return how many examples are longer than the limit."""
        return int((self.lengths > self.max_length).sum())

    @property
    def n_tokens(self) -> int:
        """Return the tokens of the examples that are short enough."""
        return int(self.lengths[self.lengths <= self.max_length].sum())

    @property
    def n_rows(self) -> int:
        """Return how many examples are short enough."""
        return len(self.lengths) - self.n_left_out

    def dataset(self) -> Any:
        """Return a `datasets.Dataset` of input_ids and labels, mapped from disk."""
        from datasets import Dataset

        return Dataset.from_file(str(self.file))


def training_tokens(
    splits: Splits,
    data: DataConfig,
    *,
    max_length: int,
    tokenizer_digest: str,
    tokenizer: Callable[[], Any],
    listener: Listener,
) -> TokenTable:
    """Return the tokens of the training split, made first where the cache has none.

    Args:
        splits: Of them, train.
        data: Its template, and which turns are learned.
        max_length: In tokens; longer examples are left out and counted.
        tokenizer_digest: Tells the tokenizer's files from all others.
        tokenizer: Returns the tokenizer with the template on it; called only where tokens must be made.
        listener: Is told how far it is.

    Raises:
        DataError: The template does not fit the rows, or every example is too long.
    """
    how = (template_digest(data.template), data.learn, max_length)
    name = digest([_VERSION, splits.digests["train"], tokenizer_digest, how])
    folder = paths.cache_dir() / "data" / f"tokens-{name[:24]}"

    def build(beside: Path) -> None:
        _write(beside, tokenizer(), splits, data, max_length, listener)

    make_once(folder, build, announce=listener.announce)
    about = read_json(folder / _ABOUT)
    assert about is not None  # the folder's manifest says that it is whole
    preview = about["preview"]
    assert isinstance(preview, list)
    return TokenTable(
        file=folder / _TOKENS,
        lengths=np.load(folder / _LENGTHS, mmap_mode="r"),
        max_length=max_length,
        n_learned=int(str(about["n_learned"])),
        preview=tuple(tuple((text, learned) for text, learned in row) for row in preview),
        name=name,
    )


def _write(folder: Path, tokenizer: Any, splits: Splits, data: DataConfig, max_length: int, listener: Listener) -> None:
    import pyarrow as pa

    ids = pa.list_(pa.int32())
    schema = pa.schema([("input_ids", ids), ("labels", ids)])
    lengths: list[int] = []
    preview: list[list[Piece]] = []
    n_learned = 0
    with pa.OSFile(str(folder / _TOKENS), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        for batch in _batches(tokenize_all(tokenizer, splits.train, data.learn)):
            preview += [pieces(tokenizer, row) for row in batch[: N_PREVIEW - len(preview)]]
            lengths += [len(row.ids) for row in batch]
            short = [row for row in batch if len(row.ids) <= max_length]
            n_learned += sum(int(row.learned.sum()) for row in short)
            labels = [np.where(row.learned, row.ids, NO_LOSS) for row in short]
            columns = [pa.array([row.ids for row in short], ids), pa.array(labels, ids)]
            stream.write_table(pa.table(columns, schema=schema))
            listener.on("tokens", len(lengths), len(splits.train))
    if min(lengths) > max_length:
        msg = (
            f"every example is longer than train.max_length={max_length} tokens; the shortest has {min(lengths)}. "
            "Raise it."
        )
        raise DataError(msg)
    np.save(folder / _LENGTHS, np.array(lengths, dtype=np.int32))
    write_json(folder / _ABOUT, {"n_learned": n_learned, "preview": preview})


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(rows, _BATCH)):
        yield batch
