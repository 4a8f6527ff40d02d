"""One process at a time changes which trials a study has and how they ended.

sqlite locks no rows, so there the lock is a file beside the database; PostgreSQL keeps a lock of ours until
the connection that took it is gone. Either is free again when its holder dies.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock


@contextmanager
def study_lock(study: Any) -> Iterator[None]:
    """Hold the study's lock; waits until it is free."""
    engine = study._storage._backend.engine  # noqa: SLF001 - the cache in front of it does not show its database
    if engine.dialect.name == "sqlite":
        with FileLock(f"{Path(engine.url.database).resolve()}.lock"):
            yield
        return
    from sqlalchemy import func, select

    name = f"{engine.url.database}/{study.study_name}"
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with engine.connect() as connection:
        connection.execute(select(func.pg_advisory_lock(key)))
        try:
            yield
        finally:
            connection.execute(select(func.pg_advisory_unlock(key)))
