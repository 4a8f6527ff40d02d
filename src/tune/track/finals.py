"""What the untouched test split says of a study's best trials, in plain data that reports are made from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

ADAPTER, DEPLOYED = "adapter", "deployed"
FORMS = (ADAPTER, DEPLOYED)
"""As it was saved, on the base; and as it would be served, merged into the weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FormRecord:
    """One form of a finalist."""

    metrics: dict[str, float]
    """By the names of a trial's metrics, on the test split."""

    verdict: str
    """SHIP, NO or INSUFFICIENT."""

    reasons: tuple[str, ...]
    """In plain words."""

    more_examples: int | None
    """About how many more would settle what is open; None where nothing is, or it cannot be said."""

    p: float
    """Of all that SHIP needs, the largest."""

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Return what `asdict` wrote."""
        return cls(**{**plain, "reasons": tuple(plain["reasons"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalRecord:
    """One finalist; without forms where it could not be scored."""

    trial: int
    n_examples: int
    """Of the test split."""

    forms: dict[str, FormRecord]
    note: str | None = None
    """What should be known of the deployed form."""

    failure: str | None = None
    """Why it could not be scored, in a sentence."""

    key: str = ""
    """What it was scored on and how; another key is another final."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        forms = {name: FormRecord.from_json(form) for name, form in plain["forms"].items()}
        return cls(**{**plain, "forms": forms})

    @property
    def decisive(self) -> FormRecord | None:
        """Return the form that its verdict rests on: the one that would be served; None where it has none."""
        return self.forms.get(DEPLOYED)


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictRecord:
    """What may be said at the end of a study."""

    verdict: str
    """SHIP, NO or INSUFFICIENT."""

    trial: int | None
    """The one it is about; None where there is none."""

    reasons: tuple[str, ...]
    """In plain words."""

    enough: tuple[str, ...] = ()
    """Which of the trials is enough, and what the validation split can tell apart."""

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Return what `asdict` wrote."""
        return cls(**{**plain, "reasons": tuple(plain["reasons"]), "enough": tuple(plain["enough"])})
