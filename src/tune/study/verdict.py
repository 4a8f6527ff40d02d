"""What may be said at the end of a study: of each finalist by its test scores, and of the study by its finalists."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tune.config.guards import UNGUARDED
from tune.config.schema import Config
from tune.evaluate.decide import Verdict
from tune.evaluate.several import holm
from tune.track.finals import ADAPTER, DEPLOYED, FinalRecord, FormRecord, VerdictRecord
from tune.track.records import StudyRecord

if TYPE_CHECKING:
    from tune.trial.finals import Final
    from tune.trial.measure import Measured


def judged_final(final: "Final", config: Config, *, trial: int, key: str) -> FinalRecord:
    """Return a finalist's two forms with their verdicts."""
    forms = {ADAPTER: final.adapter, DEPLOYED: final.deployed}
    return FinalRecord(
        trial=trial,
        n_examples=len(final.task.splits.validation),
        forms={name: _form(final.base, measured, config) for name, measured in forms.items()},
        note=final.note,
        key=key,
    )


def final_to_json(final: "Final", record: FinalRecord) -> dict[str, Any]:
    """Return a finalist's scores example by example, with what was asked and said."""
    measured = {"base": final.base, ADAPTER: final.adapter, DEPLOYED: final.deployed}
    return {
        **final.task.asked(),
        "split": "test",
        "trial": record.trial,
        "replies": {name: list(each.replies) for name, each in measured.items()},
        "metrics": {name: form.metrics for name, form in record.forms.items()},
        "scores": {name: each.to_json() for name, each in measured.items()},
    }


def study_verdict(study: StudyRecord) -> VerdictRecord:
    """Return what may be said of a study whose finalists were scored.

    The first of them was named before the test split was looked at, so its own verdict stands. Any other has to hold
    after Holm's correction over all trials that were ever scored there, also where the study went on and it is the best
    now. A false SHIP then has one tail of each of the two tests, (1 - confidence) in all.
    """
    named = {final.trial: final for final in study.finals}
    order = [named[trial] for trial in study.finalists if trial in named]
    if not order:
        return _nothing_scored(study)
    said = _weighed(order, study)
    return said if study.guards else replace(said, reasons=(*said.reasons, UNGUARDED))


def verdict_tags(verdict: VerdictRecord) -> dict[str, str]:
    """Return what the study's own run is marked with."""
    return {"tune.verdict": verdict.verdict, "tune.reasons": " · ".join(verdict.reasons)}


def _weighed(order: Sequence[FinalRecord], study: StudyRecord) -> VerdictRecord:
    every = [*order, *study.looked_at]
    adjusted = holm([final.decisive.p if final.decisive else 1.0 for final in every])
    standing = {
        final.trial: _Standing(
            says=_says(final),
            is_alone=final.trial == (order[0].trial if study.named_first is None else study.named_first),
            p=p,
            n=len(every),
            level=1 - study.confidence,
        )
        for final, p in zip(every, adjusted, strict=True)
    }
    for place, final in enumerate(order):
        own = standing[final.trial]
        if own.may_ship:
            before = [_passed_over(one, standing[one.trial], is_first=not n) for n, one in enumerate(order[:place])]
            return _about(Verdict.ship, final, before=[*before, *own.holds(final, is_first=not place)])
    word = Verdict.no if all(_says(final) is Verdict.no for final in order) else Verdict.insufficient
    first, *others = order
    own = standing[first.trial]
    before = [] if own.says is word else [f"trial {first.trial}, the best on validation: {own.words}"]
    return _about(word, first, before=before, after=[_other(final, standing[final.trial]) for final in others])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Standing:
    """What a finalist's own verdict is worth among the others."""

    says: Verdict
    is_alone: bool
    """It was named before the test split was looked at."""

    p: float
    """Holm's."""

    n: int
    """Trials that were scored on the test split."""

    level: float

    @property
    def may_ship(self) -> bool:
        return self.says is Verdict.ship and (self.is_alone or self.p <= self.level)

    @property
    def words(self) -> str:
        if self.says is Verdict.ship and not self.may_ship:
            return f"SHIP by itself, but not after Holm's correction over {self.n} finalists (p = {self.p:.2g})"
        return self.says.value

    def holds(self, final: FinalRecord, *, is_first: bool) -> list[str]:
        """Return that it may be shipped among several, where that has to be said."""
        if self.is_alone:
            return []
        why = " was named after the test split had been looked at, and" if is_first else ""
        corrected = f"also after Holm's correction over {self.n} finalists (p = {self.p:.2g})"
        return [f"trial {final.trial}{why} may, {corrected}"]


def _form(base: "Measured", tuned: "Measured", config: Config) -> FormRecord:
    from tune.trial.measure import compare
    from tune.trial.verdict import decide

    metrics = compare(base, tuned, config)
    decision = decide(base, tuned, metrics, config)
    return FormRecord(
        metrics=metrics,
        verdict=decision.verdict.value,
        reasons=decision.reasons,
        more_examples=decision.more_examples,
        p=decision.p,
    )


def _says(final: FinalRecord) -> Verdict:
    return Verdict(final.decisive.verdict) if final.decisive else Verdict.insufficient


def _about(
    word: Verdict, final: FinalRecord, *, before: Sequence[str] = (), after: Sequence[str] = ()
) -> VerdictRecord:
    own = final.decisive.reasons if final.decisive else (_why(final),)
    reasons = (*before, *own, *_forms_differ(final), *after)
    return VerdictRecord(verdict=word.value, trial=final.trial, reasons=reasons)


def _why(final: FinalRecord) -> str:
    if final.decisive is None:
        return f"it could not be scored on the test split: {final.failure}"
    return "; ".join(final.decisive.reasons)


def _passed_over(final: FinalRecord, standing: _Standing, *, is_first: bool) -> str:
    what = "the best on validation" if is_first else "a runner-up"
    return f"trial {final.trial}, {what}, may not be shipped ({standing.words}): {_why(final)}"


def _other(final: FinalRecord, standing: _Standing) -> str:
    return f"trial {final.trial}, a runner-up: {standing.words}; {_why(final)}"


def _forms_differ(final: FinalRecord) -> list[str]:
    """Return a sentence where the adapter on its base may be said more of than what it is merged into."""
    adapter, served = final.forms.get(ADAPTER), final.decisive
    if adapter is None or served is None or adapter.verdict == served.verdict:
        return []
    return [
        f"merged into the weights it is {served.verdict}, and as an adapter beside the base {adapter.verdict} "
        f"({'; '.join(adapter.reasons)})" + (": serve it unmerged" if adapter.verdict == Verdict.ship else "")
    ]


def _nothing_scored(study: StudyRecord) -> VerdictRecord:
    floors = ", ".join(guard.words for guard in study.guards)
    why = f"every trial breaks a guard on the validation split ({floors}), so none was scored on the test split"
    return VerdictRecord(verdict=Verdict.no.value, trial=None, reasons=(why,))
