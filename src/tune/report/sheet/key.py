"""What says which side was which: kept in the trial's folder, apart from the sheet that raters get.

A trial may be rated on several sheets, so a key's name has its sheet's digest.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tune.errors import EvaluationError
from tune.files import read_json, write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """Where the replies of one item stand."""

    example: str
    """Id of the example."""

    trial: str
    """The side of the trial's reply, A or B."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What raters may not see."""

    sheet: str
    """Digest of the sheet."""

    study: str
    trial: int
    against: str
    """base, or the number of another trial."""

    form: str
    """adapter or deployed."""

    split: str
    confidence: float
    """Probability that intervals are meant to cover."""

    seed: int
    n_all: int
    """Questions that both answered, on the sheet or not."""

    same: tuple[str, ...]
    """Examples with identical replies."""

    items: Mapping[str, Placed]
    """By id on the sheet."""

    @property
    def other(self) -> str:
        """Return what the trial is compared with, in words."""
        return "the base" if self.against == "base" else f"trial {self.against}"


def write_key(key: Key, trial_folder: Path) -> Path:
    """Write a key into its trial's folder and return the file."""
    file = trial_folder / f"sheet_key_{key.sheet}.json"
    write_json(file, asdict(key))
    return file


def find_keys(study_folder: Path) -> dict[str, tuple[Key, Path]]:
    """Return the keys of a study's sheets, each with its trial's folder, by digest.

    Raises:
        EvaluationError: A key cannot be read.
    """
    files = sorted(study_folder.glob("trials/*/sheet_key_*.json"))
    return {key.sheet: (key, file.parent) for key, file in zip(map(_read_key, files), files, strict=True)}


def _read_key(file: Path) -> Key:
    plain: dict[str, Any] = read_json(file) or {}
    try:
        items = {one: Placed(**placed) for one, placed in plain["items"].items()}
        return Key(**{**plain, "items": items, "same": tuple(plain["same"])})
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"{file} is no key of a sheet ({error}). Make it again with the same `sheet` command."
        raise EvaluationError(msg) from error
