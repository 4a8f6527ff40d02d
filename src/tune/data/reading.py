"""From the rows of one file to its examples: one layout, and one place for every complaint."""

import dataclasses
from collections.abc import Iterable, Iterator

from tune.config.data import ColumnsConfig, Layout
from tune.data.chat import TOOL_KEYS, divided
from tune.data.layouts import NAMES, detected, keys_read, named_value, turns_of
from tune.data.programs import tests_of
from tune.data.rows import BadRow, Row, Values, list_of
from tune.errors import DataError
from tune.examples import Example

_TURNS = {Layout.messages: "messages", Layout.sharegpt: "conversations"}
_TURN_KEYS = {"role", "content", "from", "value", *TOOL_KEYS}


class Reading:
    """The examples of one file, whose rows must all look alike; afterwards, what they looked like."""

    def __init__(self, layout: Layout, columns: ColumnsConfig, kept: str | None) -> None:
        """Take a settled layout; `kept` is a column whose value goes into `extra`."""
        self.layout = layout
        """What the rows look like; auto until the first one is seen."""
        self.n_rows = 0
        self._columns = columns
        self._kept = kept
        self._first: Row | None = None
        self._keys: set[str] = set()
        self._turn_keys: set[str] = set()

    def examples(self, rows: Iterable[Row], *, where: str, name: str) -> Iterator[Example]:
        """Yield one example a row.

        Args:
            rows: The rows of the file.
            where: What stands before a row's place in a complaint, for example the path of the file.
            name: What stands before a row's number in the example's id.

        Raises:
            DataError: A row cannot be used, or looks otherwise than the first.
        """
        detects = self.layout is Layout.auto
        for row in rows:
            try:
                if detects:
                    self._confirm(row)
                example = self._example(row.values, f"{name}/{row.number}")
            except BadRow as error:
                msg = f"{where} {row.place} {error}"
                raise DataError(msg) from error
            self.n_rows += 1
            yield example

    def unread(self) -> set[str]:
        """Return the keys that rows had and that nothing was made of; those of a turn as `messages.weight`."""
        known = {*keys_read(self.layout), *dataclasses.asdict(self._columns).values(), self._kept}
        of_turns = {f"{_TURNS[self.layout]}.{key}" for key in self._turn_keys - _TURN_KEYS}
        return (self._keys - known) | of_turns

    def _confirm(self, row: Row) -> None:
        """Take the layout from the first row, and hold the others to it."""
        if self._first is None:
            self.layout = detected(row.values)
            self._first = row
            return
        try:
            found = detected(row.values)
        except BadRow:
            found = None  # of no layout, or of several
        if found is not self.layout:
            other = f" ({NAMES[found]})" if found else ""
            msg = (
                f"has the keys {_keys(row.values)}{other}, but {self._first.place} has {_keys(self._first.values)} "
                f"({NAMES[self.layout]}), and a file has one layout. Divide it into two files, or give all rows the "
                "same keys."
            )
            raise BadRow(msg)

    def _example(self, values: Values, identity: str) -> Example:
        columns = self._columns
        messages, answer = divided(turns_of(values, self.layout, columns))
        self._keys.update(values)
        if self.layout in _TURNS:
            self._turn_keys.update(*values[_TURNS[self.layout]])
        kept = {self._kept: named_value(values, "data.balance.column", self._kept)} if self._kept else {}
        return Example(
            id=identity,
            messages=messages,
            answer=answer,
            extra=kept | tests_of(values, self.layout),
            label=named_value(values, "data.columns.label", columns.label) if columns.label else None,
            group=named_value(values, "data.columns.group", columns.group) if columns.group else None,
        )


def _keys(values: Values) -> str:
    return list_of(values) or "of an empty object"
