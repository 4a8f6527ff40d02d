"""Examples on disk as Arrow streams: mapped into memory, so that workers share them and each reads what it looks at."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from tune.errors import DataError
from tune.examples import Example, Message

_BATCH = 5_000
"""Rows turned into Arrow, or out of it, at once."""

_HALF = re.compile("[\ud800-\udfff]")


class StoredExamples(Sequence[Example]):
    """The examples of a file, made when they are asked for."""

    def __init__(self, file: Path) -> None:
        self._table = read_table(file)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Example]: ...
    def __getitem__(self, place: int | slice) -> Example | Sequence[Example]:
        if isinstance(place, slice):
            return [self[index] for index in range(len(self))[place]]
        index = range(len(self))[place]
        return _example(self._table.slice(index, 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Example]:
        for batch in self._table.to_batches(max_chunksize=_BATCH):
            yield from map(_example, batch.to_pylist())

    def column(self, name: str) -> list[Any]:
        """Return a column that was stored beside the examples."""
        values: list[Any] = self._table.column(name).to_pylist()
        return values


def write_examples(file: Path, rows: Sequence[Example], **columns: Sequence[int]) -> None:
    """Write examples, and whole numbers that belong to them, under the columns' names.

    Raises:
        DataError: A text holds half of a surrogate pair, which can neither be written nor tokenised.
    """
    import pyarrow as pa

    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    fields = [("id", pa.string()), ("messages", pa.list_(turn)), ("answer", pa.string()), ("extra", pa.string())]
    fields += [("label", pa.string()), ("group", pa.string()), *((name, pa.int64()) for name in columns)]
    schema = pa.schema(fields)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        for start in range(0, len(rows), _BATCH):
            plain = [_plain(row) for row in rows[start : start + _BATCH]]
            for name, values in columns.items():
                for row, value in zip(plain, values[start : start + _BATCH], strict=True):
                    row[name] = value
            try:
                table = pa.Table.from_pylist(plain, schema=schema)
            except UnicodeEncodeError as error:
                raise _half_a_pair(rows[start : start + _BATCH]) from error
            stream.write_table(table)


def read_table(file: Path) -> Any:
    """Return the Arrow table of a stream on disk, mapped and not read."""
    import pyarrow as pa

    return pa.ipc.open_stream(pa.memory_map(str(file))).read_all()


def _half_a_pair(rows: Sequence[Example]) -> DataError:
    row = next(row for row in rows if any(map(_HALF.search, _texts(row))))
    return DataError(
        f"{row.id} holds half of a surrogate pair, which is no character and no tokenizer takes. Mend or remove the "
        "row, or let data.clean.broken_text=true leave it out."
    )


def _texts(row: Example) -> Iterator[str]:
    yield from (row.id, *(message.content for message in row.messages), row.answer, row.label or "", row.group or "")


def _plain(row: Example) -> dict[str, Any]:
    return {
        "id": row.id,
        "messages": [{"role": message.role, "content": message.content} for message in row.messages],
        "answer": row.answer,
        "extra": json.dumps(dict(row.extra)),
        "label": row.label,
        "group": row.group,
    }


def _example(plain: dict[str, Any]) -> Example:
    return Example(
        id=plain["id"],
        messages=tuple(Message(role=turn["role"], content=turn["content"]) for turn in plain["messages"]),
        answer=plain["answer"],
        extra=json.loads(plain["extra"]),
        label=plain["label"],
        group=plain["group"],
    )
