"""The rows that a study began with: trials that were trained or scored on others cannot be compared."""

from collections.abc import Mapping

from tune.data.splits import Splits
from tune.errors import DataError

DATA = "data"
"""Attribute of a study: the digest of each split of its own configuration."""


def refuse_other_rows(known: Mapping[str, str], splits: Splits, *, study: str) -> None:
    """Go on with the rows that the study began with, and with no others.

    Raises:
        DataError: The rows, or how they are cleaned and divided, have changed.
    """
    changed = [name for name, value in splits.digests.items() if known[name] != value]
    if changed:
        msg = (
            f"the rows of {' and '.join(changed)} are not those that the study {study} began with, so its trials could "
            "not be compared. Put the rows back, or begin another study with study.name=…."
        )
        raise DataError(msg)
