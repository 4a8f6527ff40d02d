"""Run one untrusted SQL statement where it can do no harm.

The database is in memory and made anew for each statement. An authorizer lets
through reading and, where allowed, changing rows, and denies all else: attached
files, pragmas, transactions, new tables. A watch stops what takes too long.
"""

import functools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Literal

from tune.evaluate.sql_rows import Row

MAX_STEPS = 1_000_000
"""Steps of SQLite's virtual machine, far above what small tables need; unlike seconds, the same on every machine."""

STEPS_BETWEEN_LOOKS = 1_000
MAX_PAGES = 2_500
"""Size that a write may let the database grow to, in pages of 4096 bytes: 10 MB."""

N_IMAGES_KEPT = 256
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 10_000,  # bytes of one value or row: no zeroblob(1e9)
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 10_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
READ_ACTIONS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
WRITE_ACTIONS = {
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}
ONLY_ROWS = "only SELECT, and INSERT, UPDATE or DELETE of rows, are allowed"
DENIED_FUNCTIONS = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """What a statement did."""

    rows: tuple[Row, ...]
    """What it returned."""

    wrote: bool
    """Whether it is an INSERT, UPDATE or DELETE, also one that met no row."""

    tables: dict[str, tuple[Row, ...]]
    """All rows of all tables afterwards; empty unless it wrote."""


class Stopped(Exception):  # noqa: N818 - an end of a statement, not always an error
    """A statement that did not come to its end."""

    def __init__(self, reason: Literal["error", "timeout", "refused"], detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class _Watch:
    """Answers SQLite's questions while a statement is prepared and run."""

    def __init__(self, *, may_write: bool, limit_s: float) -> None:
        self.may_write = may_write
        self.limit_s = limit_s
        self.ends_at = time.monotonic() + limit_s
        self.looks_left = MAX_STEPS // STEPS_BETWEEN_LOOKS
        self.wrote = False
        self.denied = ""
        self.timed_out = ""

    def authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        """Return SQLITE_OK or SQLITE_DENY for one thing the statement is about to do."""
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in DENIED_FUNCTIONS:
            self.denied = f"the function {second} is not allowed"
        elif action in WRITE_ACTIONS:
            self._note_write(action, first or "")
        elif action not in READ_ACTIONS:
            self.denied = self.denied or ONLY_ROWS
        return sqlite3.SQLITE_DENY if self.denied else sqlite3.SQLITE_OK

    def _note_write(self, action: int, table: str) -> None:
        self.wrote = True
        if table.lower().startswith("sqlite_"):  # CREATE and DROP show up as changes of SQLite's own tables
            self.denied = ONLY_ROWS
        elif not self.may_write:
            self.denied = f"{WRITE_ACTIONS[action]} where only reading was asked for"

    def look(self) -> bool:
        """Return whether the statement has to stop."""
        self.looks_left -= 1
        if time.monotonic() > self.ends_at:
            self.timed_out = f"took longer than {self.limit_s:g} s"
        elif self.looks_left < 0:
            self.timed_out = f"took more than {MAX_STEPS} steps"
        return bool(self.timed_out)

    def explain(self, error: Exception) -> Stopped:
        """Return why the statement ended as it did."""
        if self.denied:
            return Stopped("refused", self.denied)
        if self.timed_out:
            return Stopped("timeout", self.timed_out)
        if "one statement at a time" in str(error):
            return Stopped("refused", "more than one statement")
        return Stopped("error", str(error) or type(error).__name__)


def run_alone(statement: str, *, setup: str, may_write: bool, max_rows: int, limit_s: float) -> Effect:
    """Return what one statement does to a database of its own.

    Args:
        statement: One SQL statement, from anyone.
        setup: SQL script that makes the database, trusted.
        may_write: Whether the statement may change rows.
        max_rows: Rows to fetch at most; the rest of a longer result is left out.
        limit_s: Seconds the statement may take.

    Raises:
        Stopped: The statement failed, was refused, or took too long.
        sqlite3.Error: The setup does not run.
    """
    watch = _Watch(may_write=may_write, limit_s=limit_s)
    with closing(_fresh_database(setup)) as connection:
        with _watched(connection, watch):
            rows = _fetch(connection, statement, max_rows, watch)
        tables = _contents(connection) if watch.wrote else {}
    return Effect(rows=rows, wrote=watch.wrote, tables=tables)


@functools.lru_cache(maxsize=N_IMAGES_KEPT)
def _image(setup: str) -> bytes:
    """Return the database that a setup script makes; loading it is much faster than running the script."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(setup)
        return connection.serialize()


def _fresh_database(setup: str) -> sqlite3.Connection:
    image = _image(setup)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    if image:  # a setup without tables has none
        connection.deserialize(image)
    connection.executescript(
        f"PRAGMA temp_store = MEMORY; PRAGMA journal_mode = MEMORY; PRAGMA max_page_count = {MAX_PAGES};"
    )
    # Bytes that are no UTF-8 become some text, not an exception.
    connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
    return connection


@contextmanager
def _watched(connection: sqlite3.Connection, watch: _Watch) -> Iterator[None]:
    usual = {category: connection.setlimit(category, limit) for category, limit in LIMITS.items()}
    connection.set_authorizer(watch.authorize)
    connection.set_progress_handler(watch.look, STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        connection.set_authorizer(None)
        connection.set_progress_handler(None, 0)
        for category, limit in usual.items():
            connection.setlimit(category, limit)


def _fetch(connection: sqlite3.Connection, statement: str, max_rows: int, watch: _Watch) -> tuple[Row, ...]:
    try:
        with closing(connection.execute(statement)) as cursor:
            return tuple(cursor.fetchmany(max_rows))
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
        raise watch.explain(error) from error


def _contents(connection: sqlite3.Connection) -> dict[str, tuple[Row, ...]]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    names = [name.replace('"', '""') for (name,) in tables.fetchall()]
    return {name: tuple(connection.execute(f'SELECT * FROM "{name}"')) for name in names}  # noqa: S608 - quoted name
