"""Questions about small databases, each with the SQLite query that answers it.

The task is made here, from schemas, patterns and a seed, so that it needs no
download and no two splits can leak into each other. Queries are scored by
running them (see tune.evaluate.sql), so every example carries its database.
"""

from tune.data.text_to_sql.generate import generate

__all__ = ["generate"]
