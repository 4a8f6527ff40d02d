"""What may be said at the end of a study: of each finalist by its test scores, and of the study by its finalists."""

from collections.abc import Sequence
from dataclasses import replace
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

    The first of them was named before the test split was looked at, so its own verdict stands. Where it may not be
    shipped and a runner-up may, the runner-up has to hold after Holm's correction over all finalists; a false SHIP then
    has one tail of each of the two tests, (1 - confidence) in all.
    """
    named = {final.trial: final for final in study.finals}
    order = [named[trial] for trial in study.finalists if trial in named]
    if not order:
        return _nothing_scored(study)
    said = _weighed(order, confidence=study.confidence)
    return said if study.guards else replace(said, reasons=(*said.reasons, UNGUARDED))


def _weighed(order: Sequence[FinalRecord], *, confidence: float) -> VerdictRecord:
    first, *others = order
    if _says(first) is Verdict.ship:
        return _about(Verdict.ship, first)
    corrected = holm([final.decisive.p if final.decisive else 1.0 for final in order])
    for final, p in zip(others, corrected[1:], strict=True):
        if _says(final) is Verdict.ship and p <= 1 - confidence:
            said = f"trial {first.trial}, the best on validation, may not be shipped ({_says(first)}): {_why(first)}"
            more = f"trial {final.trial} may, also after Holm's correction over {len(order)} finalists (p = {p:.2g})"
            return _about(Verdict.ship, final, before=[said, more])
    all_no = all(_says(final) is Verdict.no for final in order)
    word = Verdict.no if all_no else Verdict.insufficient
    return _about(word, first, after=[_other(final) for final in others])


def _form(base: "Measured", tuned: "Measured", config: Config) -> FormRecord:
    from tune.trial.measure import compare
    from tune.trial.verdict import decide

    metrics = compare(base, tuned, config)
    decision, task = decide(base, tuned, metrics, config)
    return FormRecord(
        metrics=metrics,
        verdict=decision.verdict.value,
        reasons=decision.reasons,
        more_examples=decision.more_examples,
        p=task.p,
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


def _other(final: FinalRecord) -> str:
    return f"trial {final.trial}, a runner-up: {_says(final)}; {_why(final)}"


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
