"""How an attempt at a trial ends, and how what was cut off is tried again: once, whoever dies in between.

A trial is one point and one seed; an attempt is an Optuna trial that runs it. An attempt is running until somebody
holding the study's lock ends it, and nobody can end it twice:

    waiting ──claim──> running ──end──> complete | pruned | infeasible | failed
                                           └── failed with `again`: a waiting attempt with `retry_of` follows

`again` is written before the attempt fails and the follower is made after it, so a process that dies in between leaves
a failed attempt that wants a follower and has none; `mend` makes it. Every claim mends first.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tune.config.schema import Config
from tune.failpoint import reach
from tune.study.database import engine
from tune.study.lock import study_lock
from tune.study.signature import is_gone
from tune.track.environment import redact
from tune.trial.outcome import Outcome, State

HANDED_ON = ("root", "attempt", "run_id", "first", "seed", "reduced")
"""What an attempt passes to the one that follows it."""

QUEUED = "fixed_params"
"""Optuna's attribute of a trial that was put in the queue, with the parameters that it was given."""

NOTHING: Mapping[str, str | int] = MappingProxyType({})

REJECTED = "rejected"
"""Reason of a trial that was drawn and never run, because the sweep rejects such points."""

OUT_OF_MEMORY = "oom"
"""Reason that is tried again with smaller pieces: attribute `smaller` of the attempt, `reduced` of its follower."""

FORBIDDEN = "forbidden"
"""Reason of a trial whose values do not go together: a rule refuses such a configuration."""

_CONSTRAINTS = {REJECTED: "reject", FORBIDDEN: "rules", "diverged": "result", "nothing_learned": "result"}
"""Constraint that a trial breaks by the reason of its end; one that failed of its own point would end so again."""

_TOO_MUCH = "memory"
"""Constraint that an infeasible trial breaks; samplers that know constraints look elsewhere then."""


def root(trial: Any) -> int:
    """Return the number of the trial that this is an attempt at: that of its first attempt."""
    return int(trial.user_attrs.get("root", trial.number))


def attempt(trial: Any) -> int:
    """Return the how-manyth attempt this is, from 1."""
    return int(trial.user_attrs.get("attempt", 1))


def superseded(trial: Any) -> bool:
    """Return whether another attempt follows, or is to follow, this one.

    `again` alone does not say so: whoever wrote it may have died before it ended the attempt, which then runs on.
    """
    return trial.state.name == "FAIL" and bool(trial.user_attrs.get("again"))


def rejected(trial: Any) -> bool:
    """Return whether it was rejected when it was drawn; it is told to the sampler, and is no trial of the study."""
    return bool(trial.state.name == "PRUNED" and trial.user_attrs.get("reason") == REJECTED)


def pruned(trial: Any) -> bool:
    """Return whether the study's pruner stopped it; what is infeasible or rejected is PRUNED for Optuna too."""
    return bool(trial.state.name == "PRUNED" and trial.user_attrs.get("ended") == State.pruned.value)


def reject(study: Any, trial: Any, why: str) -> None:
    """End a trial that was just drawn and is not to be run. To be called under the lock."""
    outcome = Outcome(state=State.infeasible, reason=REJECTED, message=f"sweep.reject has `{why}`.")
    _end(study, trial.number, outcome)


def running(study: Any) -> list[Any]:
    """Return the attempts that somebody is running, or was when it died."""
    import optuna

    return [t for t in study.get_trials(deepcopy=False) if t.state is optuna.trial.TrialState.RUNNING]


def retries_after(reason: str | None, config: Config) -> int:
    """Return how many attempts may follow the first after failures of this kind."""
    if reason == "interrupted":
        return sys.maxsize  # nobody's fault, and it asked to be tried again
    return int(getattr(config.study.retries, reason or "", 0))


def end(
    study: Any,
    number: int,
    outcome: Outcome,
    *,
    value: float | Sequence[float] | None = None,
    retries: int = 0,
    about: Mapping[str, str | int] = NOTHING,
) -> bool:
    """Record how an attempt ended; return False where it had ended already, and then nothing is changed.

    Args:
        study: Optuna's study.
        number: The attempt's.
        outcome: What is recorded.
        value: The objective, or all of them in the order of the sweep; for a complete trial.
        retries: How many attempts may follow the first one after a failure like this.
        about: More that is kept with it. `ending` is the same in a call that repeats one that the database cut off:
            what that one did counts as done.
    """
    with study_lock(study):
        return _end(study, number, outcome, value=value, retries=retries, about=about)


def reap(
    study: Any,
    *,
    grace_s: float,
    retries: int,
    reached: Callable[[int], int] = lambda _: 0,
    interrupted_before: float = 0.0,
) -> list[int]:
    """End the attempts whose worker is gone, and return their numbers.

    Gone is a worker that never gave a sign of life (claims are made under the lock, so it died in one), whose process
    on this machine is not there any more, or that was silent for `grace_s` seconds.

    Args:
        study: Optuna's study.
        grace_s: How long a worker may be silent.
        retries: How many attempts in a row may be lost before a trial is given up.
        reached: Returns how far the trial of this number has got; one that gets on is not given up.
        interrupted_before: Attempts that began before this time, in seconds since 1970, went with the supervisor that
            they ran under: they are tried again, however often that happens.
    """
    with study_lock(study):
        lost = gone(study, grace_s=grace_s)
        for number, why in lost.items():
            trial = study.get_trials(deepcopy=False)[number]
            began = trial.user_attrs.get("started") or trial.datetime_start.timestamp()
            reason, most = ("interrupted", sys.maxsize) if began < interrupted_before else ("lost", retries)
            outcome = Outcome(state=State.failed, reason=reason, message=f"{why}.")
            _end(study, number, outcome, retries=most, about={"reached": reached(root(trial))})
        return list(lost)


def gone(study: Any, *, grace_s: float) -> dict[int, str]:
    """Return why the worker of a running attempt is gone, by the attempt's number. To be called under the lock."""
    ages = silent_s(study)
    whys = {trial.number: _why_gone(trial, ages, grace_s) for trial in running(study)}
    return {number: why for number, why in whys.items() if why}


def mend(study: Any) -> list[int]:
    """Make the followers that were wanted and not made; return whose. To be called under the lock."""
    trials = lonely(study)
    for trial in trials:
        _follow(study, trial)
        reach("mend: followed")
    return [trial.number for trial in trials]


def lonely(study: Any) -> list[Any]:
    """Return the attempts that want a follower and have none. To be called under the lock."""
    trials = study.get_trials(deepcopy=False)
    followed = {trial.user_attrs.get("retry_of") for trial in trials}
    return [trial for trial in trials if superseded(trial) and trial.number not in followed]


def let_go(study: Any, worker: str) -> list[int]:
    """End what a worker seems to run while it asks for something to run; return the numbers.

    So it is where the database went away at the end of a claim: the claim was whole, and nobody knows of it.
    """
    outcome = Outcome(state=State.failed, reason="interrupted", message="its claim was cut off.")
    with study_lock(study):
        own = [trial.number for trial in running(study) if trial.user_attrs.get("worker") == worker]
        for number in own:
            _end(study, number, outcome, retries=sys.maxsize)
    return own


def beat(study: Any, trial: Any) -> None:
    """Give a sign of life for a running attempt."""
    study._storage.record_heartbeat(trial._trial_id)  # noqa: SLF001 - Optuna beats only inside `optimize`


def _end(
    study: Any,
    number: int,
    outcome: Outcome,
    *,
    value: float | Sequence[float] | None = None,
    retries: int = 0,
    about: Mapping[str, str | int] = NOTHING,
) -> bool:
    import optuna

    trial = study.get_trials(deepcopy=False)[number]
    if trial.state is not optuna.trial.TrialState.RUNNING:
        return "ending" in about and trial.user_attrs.get("ending") == about["ending"] and trial.state.is_finished()
    is_over = outcome.state in {State.complete, State.pruned}
    again = not is_over and _may_follow(study, trial, outcome.reason, about, retries)
    attrs: dict[str, Any] = {
        "reason": outcome.reason,
        # An error's words may hold what a library was given; the database may be on another machine.
        "message": redact(outcome.message),
        "notes": [redact(note) for note in outcome.notes],
        "metrics": outcome.metrics,
        "ended": outcome.state.value,
        "again": again,
        "pruned_step": outcome.pruned_step,
        **about,
    }
    for name, content in attrs.items():
        study._storage.set_trial_user_attr(trial._trial_id, name, content)  # noqa: SLF001 - no public way by number
    reach("end: noted")
    if outcome.state is State.complete:
        for metric, beyond in outcome.violations.items():
            _set_constraint(study, trial, f"guard:{metric}", beyond)
        study.tell(number, values=value)
        return True
    is_its_points = outcome.state is State.infeasible or (not is_over and outcome.reason in _CONSTRAINTS)
    if is_its_points and not again:
        # A failed trial would not be looked at.
        _set_constraint(study, trial, _CONSTRAINTS.get(outcome.reason or "", _TOO_MUCH), 1.0)
        study.tell(number, state=optuna.trial.TrialState.PRUNED)
        return True
    if outcome.state is State.pruned:
        # No constraint is broken: it could be had, and its loss so far tells the sampler how good it is.
        study.tell(number, state=optuna.trial.TrialState.PRUNED)
        return True
    study.tell(number, state=optuna.trial.TrialState.FAIL)
    reach("end: ended")
    mend(study)
    return True


def _may_follow(study: Any, trial: Any, reason: str | None, about: Mapping[str, Any], retries: int) -> bool:
    if reason == OUT_OF_MEMORY:  # however far it got: with the same settings it would run out again
        return bool(trial.user_attrs.get("smaller")) and _failures(study, trial, reason, 0) < retries
    return _failures(study, trial, reason, int(about.get("reached", 0))) < retries


def _set_constraint(study: Any, trial: Any, name: str, value: float) -> None:
    """Tell the sampler how far this point is beyond what is allowed; 0 or less: it is not."""
    from optuna.study._constrained_optimization import _CONSTRAINTS_KEY

    key = f"{_CONSTRAINTS_KEY}:{name}"
    study._storage.set_trial_system_attr(trial._trial_id, key, value)  # noqa: SLF001 - `set_constraint` needs a Trial


def _failures(study: Any, trial: Any, reason: str | None, reached: int) -> int:
    """Return how many attempts at the same trial ended for the same reason since it last got further."""
    others = [t for t in study.get_trials(deepcopy=False) if root(t) == root(trial) and t.number < trial.number]
    count, furthest = 0, 0
    for step, why in [*((t.user_attrs.get("reached", 0), t.user_attrs.get("reason")) for t in others), (reached, None)]:
        if step > furthest:
            count, furthest = 0, step
        count += why == reason
    return count


def _follow(study: Any, trial: Any) -> None:
    handed = {name: trial.user_attrs[name] for name in HANDED_ON if name in trial.user_attrs}
    own = {"root": root(trial), "attempt": attempt(trial) + 1, "retry_of": trial.number}
    if trial.user_attrs.get("reason") == OUT_OF_MEMORY:
        own["reduced"] = trial.user_attrs["smaller"]
    # A claim that was cut off has drawn some of its parameters; the queue's own are always whole.
    point = {**trial.system_attrs.get(QUEUED, {}), **trial.params}
    study.enqueue_trial(point, user_attrs={**handed, **own})


def _why_gone(trial: Any, ages: dict[int, float], grace_s: float) -> str | None:
    worker = trial.user_attrs.get("worker")
    age = ages.get(trial._trial_id)  # noqa: SLF001
    if worker is None or age is None:
        return "its worker died while it claimed the trial"
    if is_gone(worker):
        return "its worker was gone"
    return f"its worker gave no sign of life for {age:.0f} s" if age > grace_s else None


def silent_s(study: Any) -> dict[int, float]:
    """Return for how many seconds each attempt has given no sign of life, by Optuna's id and the database's clock."""
    from optuna.storages._rdb import models
    from sqlalchemy import func, select

    with engine(study).connect() as connection:
        now = connection.execute(select(func.now())).scalar_one().replace(tzinfo=None)
        beats = connection.execute(select(models.TrialHeartbeatModel.trial_id, models.TrialHeartbeatModel.heartbeat))
        return {trial_id: (now - last.replace(tzinfo=None)).total_seconds() for trial_id, last in beats}
