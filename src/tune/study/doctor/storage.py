"""What is wrong in the storage alone: attempts that belong to nobody, and followers that nobody made."""

from collections import Counter
from contextlib import suppress
from functools import partial

from tune.errors import TrackingError
from tune.study.attempts import attempt, gone, lonely, mend, reap, retries_after, root, superseded
from tune.study.doctor.case import Case, Finding
from tune.study.lock import study_lock
from tune.study.record import close_run


def dead_workers(case: Case) -> list[Finding]:
    """Return the attempts that run in the storage alone."""
    with study_lock(case.study):
        whys = gone(case.study, grace_s=case.config.workers.grace_s)
        trials = case.study.get_trials(deepcopy=False)
    return [
        Finding(
            what=f"trial {root(trials[number])} is running as attempt {attempt(trials[number])}, but by nobody",
            fix=partial(_end_lost, case, root(trials[number])),
            advice=f"{why}; it ends as lost, and is tried again as often as study.retries.lost allows",
        )
        for number, why in whys.items()
    ]


def missing_followers(case: Case) -> list[Finding]:
    """Return the failures after which another attempt was wanted and is not there."""
    with study_lock(case.study):
        trials = lonely(case.study)
    return [
        Finding(
            what=f"attempt {attempt(trial)} at trial {root(trial)} failed, was to be followed by another, and was not",
            fix=partial(_follow, case),
            advice="the next one is put in the queue",
        )
        for trial in trials
    ]


def doubled_attempts(case: Case) -> list[Finding]:
    """Return the trials with two attempts that count, or two that follow one; no order of events should lead there."""
    advice = "the last one is shown; look at each, and take study.name=ANOTHER for results that must not be doubted"
    found = []
    for number, tries in case.attempts().items():
        counting = [trial.number for trial in tries if not superseded(trial)]
        followed = Counter(trial.user_attrs["retry_of"] for trial in tries if "retry_of" in trial.user_attrs)
        twice = [before for before, n in followed.items() if n > 1]
        if len(counting) > 1 or twice:
            forks = "".join(f", and {followed[before]} that follow {before}" for before in twice)
            what = f"trial {number} has {len(counting)} attempts that count ({', '.join(map(str, counting))}){forks}"
            found.append(Finding(what=what, advice=advice))
    return found


def _end_lost(case: Case, number: int) -> None:
    retries = retries_after("lost", case.config)
    reap(case.study, grace_s=case.config.workers.grace_s, retries=retries, reached=case.folder.reached)
    # A run that takes no end is looked at later, with all the others.
    with suppress(TrackingError):
        case.while_idle(number, lambda: close_run(case.last()[number], case.store, case.folder))


def _follow(case: Case) -> None:
    with study_lock(case.study):
        mend(case.study)
