"""Which filled-in patterns are fair: the rows tell the right query from lazier ones.

A query is telling when it returns something, does not depend on the order rows
happen to be stored in, and loses its result when a piece that matters is left out.
"""

import contextlib
import sqlite3
from typing import Any, Self

from tune.data.text_to_sql.patterns.pattern import gold, without_each_piece
from tune.data.text_to_sql.rows import setup_script
from tune.data.text_to_sql.tables import Schema

Rows = list[tuple[Any, ...]]


class Databases:
    """One schema's rows in both storage orders, in memory, for as long as the `with` block lasts."""

    def __init__(self) -> None:
        self._connections: dict[tuple[str, bool], sqlite3.Connection] = {}
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def is_telling(self, schema: Schema, sql: str, *, ordered: bool) -> bool:
        """Return whether the rows of the schema tell this query from a lazier one.

        Args:
            schema: Whose rows.
            sql: The filled-in query, pieces that matter still in brackets.
            ordered: Whether the order of the result counts.
        """
        forwards = self._connection(schema, backwards=False)
        result = _effect(forwards, gold(sql), ordered=ordered)
        if _says_nothing(result) or result == _contents(forwards):
            return False
        if _effect(self._connection(schema, backwards=True), gold(sql), ordered=ordered) != result:
            return False
        return all(_effect(forwards, lazy, ordered=ordered) != result for lazy in without_each_piece(sql))

    def _connection(self, schema: Schema, *, backwards: bool) -> sqlite3.Connection:
        if (schema.name, backwards) not in self._connections:
            connection = sqlite3.connect(":memory:", isolation_level=None)
            self._closing.enter_context(contextlib.closing(connection))
            connection.executescript(setup_script(schema, backwards=backwards))
            self._connections[schema.name, backwards] = connection
        return self._connections[schema.name, backwards]


def _says_nothing(result: Rows) -> bool:
    return not any(value is not None and value != 0 for row in result for value in row)


def _effect(connection: sqlite3.Connection, sql: str, *, ordered: bool) -> Rows:
    """Return the rows a SELECT gives, or all rows of all tables as a write would leave them."""
    if sql.startswith("SELECT"):
        rows = connection.execute(sql).fetchall()
        return rows if ordered else sorted(rows, key=repr)
    connection.execute("BEGIN")
    try:
        connection.execute(sql)
        return _contents(connection)
    finally:
        connection.execute("ROLLBACK")


def _contents(connection: sqlite3.Connection) -> Rows:
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]
    rows = [(name, *row) for name in names for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608
    return sorted(rows, key=repr)
