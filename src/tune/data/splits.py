"""A data set ready for a trial."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tune.config.digest import digest
from tune.data.account import Account
from tune.data.stored import StoredExamples, write_examples
from tune.examples import Example
from tune.files import read_json, write_json

NAMES = ("train", "validation", "test")
_ABOUT = "about.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """Training never sees validation or test, and the search never sees test."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    digests: Mapping[str, str]
    """SHA-256 of what each of the three says, in its order; ids and files' names do not count."""

    account: Account

    @property
    def digest(self) -> str:
        """Return one digest of all three."""
        return digest(dict(self.digests))

    @property
    def words(self) -> str:
        """Return what was read and how it is divided, in a line."""
        went = sum(step.count for step in self.account.taken)
        parts = f"{len(self.train):,} to train on, {len(self.validation):,} to score on, {len(self.test):,} kept aside"
        return f"{self.account.source}; {parts}" + (f"; {went:,} taken out" if went else "")

    def to_json(self) -> str:
        """Return what was read, what went and why, and how the rest is divided, for a run's record."""
        sizes = {name: len(getattr(self, name)) for name in NAMES}
        return json.dumps(self.account.to_json() | {"splits": sizes, "digests": dict(self.digests)}, indent=2)


def make_splits(parts: Mapping[str, Sequence[Example]], account: Account) -> Splits:
    """Return the splits, with their digests."""
    return Splits(**parts, digests={name: _content_digest(parts[name]) for name in NAMES}, account=account)


def _content_digest(rows: Sequence[Example]) -> str:
    content = hashlib.sha256()
    for row in rows:
        turns = [(message.role, message.content) for message in row.messages]
        said = json.dumps([turns, row.answer, dict(row.extra)], sort_keys=True)
        content.update(said.encode() + b"\n")
    return content.hexdigest()


def write_splits(folder: Path, splits: Splits) -> None:
    """Write the splits into an empty folder."""
    for name in NAMES:
        write_examples(folder / f"{name}.arrow", getattr(splits, name))
    write_json(folder / _ABOUT, {"digests": dict(splits.digests), "account": splits.account.to_json()})


def read_splits(folder: Path) -> Splits:
    """Return what `write_splits` wrote; examples are read when they are looked at."""
    about = read_json(folder / _ABOUT)
    assert about is not None  # the folder's manifest says that it is whole
    account, digests = about["account"], about["digests"]
    assert isinstance(account, dict)
    assert isinstance(digests, dict)
    parts = {name: StoredExamples(folder / f"{name}.arrow") for name in NAMES}
    return Splits(**parts, digests=digests, account=Account.from_json(account))
