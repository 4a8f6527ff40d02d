"""One process at a time changes which trials a study has and how they ended.

sqlite locks no rows, so there the lock is a file beside the database; PostgreSQL keeps a lock of ours until
the connection that took it is gone. Either is free again when its holder dies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tune.study.database import LOCK_LIMIT_S, LockHeldError, advisory_lock, engine

_POLL_S = 0.005  # a claim takes about ten times as long; the file lock's own 0.05 s would be most of the wait


@contextmanager
def study_lock(study: Any) -> Iterator[None]:
    """Hold the study's lock; waits until it is free.

    Raises:
        LockHeldError: Somebody kept it for long; `patiently` tries again, after whoever froze with it was ended.
    """
    database = engine(study)
    if database.dialect.name == "sqlite":
        lock = FileLock(f"{Path(database.url.database).resolve()}.lock", timeout=LOCK_LIMIT_S, poll_interval=_POLL_S)
        try:
            lock.acquire()
        except Timeout as error:
            raise LockHeldError(lock.lock_file) from error
        try:
            yield
        finally:
            lock.release()
        return
    with advisory_lock(database, f"{database.url.database}/{study.study_name}"):
        yield
