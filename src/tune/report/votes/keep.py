"""Counted votes in their trial's folder: votes.json, a sheet an entry."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tune.files import read_json, write_json
from tune.report.sheet.key import Key
from tune.report.votes.count import Counted
from tune.report.votes.read import Ballot

VOTES = "votes.json"


def votes_json(counted: Counted, ballots: Sequence[Ballot], key: Key) -> dict[str, Any]:
    """Return what is kept of one sheet's votes: the counts, and per question its example, votes and comments."""
    about = {name: getattr(key, name) for name in ("study", "trial", "against", "form", "split", "confidence", "seed")}
    plain = counted.to_json()
    results = plain.pop("results")
    questions = [
        {
            "id": one,
            "example": placed.example,
            "votes": results[one],
            "comments": [ballot.comments.get(one, "") for ballot in ballots],
        }
        for one, placed in key.items.items()
    ]
    return about | plain | {"n_all": key.n_all, "n_same": len(key.same), "by_question": questions}


def keep_votes(kept: dict[str, Any], sheet: str, trial_folder: Path) -> Path:
    """Write a sheet's votes beside those of the trial's other sheets; reading a sheet again replaces its own."""
    file = trial_folder / VOTES
    write_json(file, (read_json(file) or {}) | {sheet: kept})
    return file
