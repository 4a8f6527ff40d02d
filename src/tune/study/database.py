"""The database that studies are kept in: where it is, how it is opened, and what to do while it is away.

sqlite by default; PostgreSQL for workers on several machines. Either way it is Optuna's storage, opened here and
nowhere else.
"""

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from tune.config.schema import Config
from tune.errors import StudyError

VARIABLE = "TUNE_STORAGE"
"""Environment variable that names the database where study.storage does not; it keeps a password out of `ps`."""

T = TypeVar("T")

LOCK_LIMIT_S = 10.0
"""How long a lock is waited for; it is held for milliseconds."""

_POSTGRES = {
    "connect_timeout": 10,
    "options": "-c timezone=utc",
    # A host that vanishes says nothing; the kernel alone would wait for it for hours.
    "keepalives": 1,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 40_000,
}
_LOCKED_S = 60  # how long sqlite itself waits for another process
_LONGEST_PAUSE_S = 5.0


class LockHeldError(StudyError):
    """Somebody keeps the study's lock: a worker that froze with it, or a disk that does not answer."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the lock of the study ({name}) has been held for {LOCK_LIMIT_S:.0f} s by another process. See which one "
            "hangs (python -m tune status NAME), end it, and give the same command again."
        )


def storage_url(config: Config, runs: Path) -> str:
    """Return the database's address: study.storage, else TUNE_STORAGE, else a sqlite file in the runs folder."""
    return config.study.storage or os.environ.get(VARIABLE) or f"sqlite:///{runs / 'optuna.db'}"


def is_default(config: Config) -> bool:
    """Return whether nobody named a database."""
    return not (config.study.storage or os.environ.get(VARIABLE))


def shown(url: str) -> str:
    """Return the address without its password."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url.rpartition("@")[2]


def open_storage(url: str, runs: Path) -> Any:
    """Return Optuna's storage; its tables are made once, under a lock that all who share the database see.

    Raises:
        StudyError: The database cannot be opened.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with _making_tables(url):
            return optuna.storages.RDBStorage(url, engine_kwargs=_engine_settings(url))
    except (OSError, SQLAlchemyError, ImportError, RuntimeError, optuna.exceptions.OptunaError) as error:
        why = _first_line(error)
        msg = (
            f"study.storage={shown(url)} cannot be opened: {why}. Name a database that can be written, "
            "for example postgresql+psycopg://USER@HOST/DATABASE, or leave it out."
        )
        raise StudyError(msg) from error


def engine(study: Any) -> Any:
    """Return SQLAlchemy's engine behind a study."""
    return study._storage._backend.engine  # noqa: SLF001 - the cache in front of it does not show its database


def patiently(action: Callable[[], T], *, limit_s: float, give_up: Callable[[], bool] = lambda: False) -> T:
    """Return what `action` returns; while the database is away, try again with growing pauses.

    Args:
        action: May be called again from its start after it was cut off anywhere.
        limit_s: How long the database may be away.
        give_up: Is asked before each pause whether there is no time for it.

    Raises:
        StudyError: It was away for longer.
    """
    until, pause = time.monotonic() + limit_s, 0.1
    while True:
        try:
            return action()
        except Exception as error:
            if not is_away(error):
                raise
            if time.monotonic() > until or give_up():
                msg = (
                    f"the study's database is away ({_first_line(error)}). When it is back, the same command goes on; "
                    f"study.storage_wait_s={limit_s:g} sets how long is waited."
                )
                raise StudyError(msg) from error
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads processes, guards nothing
        pause = min(2 * pause, _LONGEST_PAUSE_S)


@contextmanager
def unless_away() -> Iterator[None]:
    """Leave the block where the database goes away in it; for what whoever comes next does too."""
    try:
        yield
    except Exception as error:
        if not is_away(error):
            raise


def is_away(error: BaseException | None) -> bool:
    """Return whether the database could not be reached, or was kept locked, and may be there again in a moment."""
    from sqlalchemy.exc import InterfaceError, OperationalError, PendingRollbackError

    while error is not None:
        if isinstance(error, LockHeldError):
            return True
        if isinstance(error, OperationalError | InterfaceError):
            return "sqlite" not in type(error.orig).__module__ or "locked" in str(error.orig)
        if getattr(error, "connection_invalidated", False):
            return True
        # Optuna asks once more after a lost connection; what that raises says only that there was one before.
        error = error.__cause__ or (error.__context__ if isinstance(error, PendingRollbackError) else None)
    return False


def advisory_key(name: str) -> int:
    """Return the number under which PostgreSQL keeps a lock of this name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@contextmanager
def advisory_lock(on: Any, name: str) -> Iterator[None]:
    """Hold a lock in PostgreSQL until the block ends or the connection is gone.

    Args:
        on: SQLAlchemy's engine.
        name: Of the lock.
    """
    from sqlalchemy import func, select

    # No transaction stands open while the lock is held: servers end those that idle.
    with on.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(select(func.set_config("lock_timeout", f"{LOCK_LIMIT_S:.0f}s", False)))
        connection.execute(select(func.pg_advisory_lock(advisory_key(name))))
        try:
            yield
        finally:
            if not connection.invalidated:
                connection.execute(select(func.pg_advisory_unlock(advisory_key(name))))


@contextmanager
def _making_tables(url: str) -> Iterator[None]:
    """Let one process at a time make the tables: of several that meet an empty database, all but one would die."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    if file := sqlite_file(url):
        with FileLock(file.with_name(f".{file.name}.tables.lock")):
            _write_ahead(file)
            yield
        return
    own = create_engine(url, poolclass=NullPool, connect_args=_engine_settings(url)["connect_args"])
    with advisory_lock(own, "tune tables"):
        yield


def _write_ahead(file: Path) -> None:
    """Switch a new sqlite file to a write-ahead log, so that who reads and who writes do not wait for each other."""
    import sqlite3

    if file.exists():
        return
    with closing(sqlite3.connect(file, timeout=_LOCKED_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # stays with the file


def _engine_settings(url: str) -> dict[str, Any]:
    if sqlite_file(url):
        return {"connect_args": {"timeout": _LOCKED_S}}
    # One time zone for all: signs of life are compared by the database's clock without a zone.
    return {"pool_pre_ping": True, "connect_args": _POSTGRES if url.startswith("postgresql") else {}}


def sqlite_file(url: str) -> Path | None:
    """Return the file that the database is, or None where it is a server."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
    except ArgumentError:
        return None
    return Path(parts.database or "").resolve() if parts.drivername.startswith("sqlite") else None


def _first_line(error: BaseException) -> str:
    """Return why, in one line and without a password."""
    from tune.track.environment import redact

    while error.__cause__ is not None and "exception is raised during the commit" in str(error):
        error = error.__cause__
    return redact(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__).rstrip(".")
