"""Claims, ends and deaths in any order: every trial ends once, none is lost, none is run twice at once."""

import os
import shutil
import tempfile
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.postgres import Postgres
from tune import failpoint
from tune.config.compose import compose
from tune.study import attempts, claim
from tune.study.attempts import end, mend, reap, root, superseded
from tune.study.claim import Claim, enqueue_grid
from tune.study.database import engine
from tune.study.lock import study_lock
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.study.storage import open_study
from tune.trial.outcome import Outcome, State

NOBODY = f"{sign().split()[0]} 4194999 0.00"  # above the largest process id of Linux
DEATHS = st.sampled_from([None, None, None, *(p for p in failpoint.PLACES if p.startswith(("claim", "end", "mend")))])
DONE = Outcome(state=State.complete, metrics={"task/score": 0.5})


def failed(reason: str) -> Outcome:
    state = State.infeasible if reason == "oom" else State.failed
    return Outcome(state=state, reason=reason, message="m")


def new_study(runs: Path, *overrides: str) -> tuple[Any, Any]:
    config = compose(["+sweep=smoke", *overrides])
    study, _ = open_study(config, runs)
    enqueue_grid(study, config)
    return study, config


class Died(BaseException):
    """A process is gone: nothing after this line ran, and no handler either."""


class Deaths:
    """Stands at the fail points and lets a step die there."""

    def __init__(self) -> None:
        self.at: str | None = None

    def reach(self, place: str) -> None:
        if place == self.at:
            raise Died


class Workers(RuleBasedStateMachine):
    """Workers that may die between any two writes, a reaper that may die too, and late results."""

    claims = Bundle("claims")
    server: Postgres | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        place = [f"study.storage='{self.server.url(f'machine_{uuid.uuid4().hex}')}'"] if self.server else []
        self.study, self.config = new_study(self.folder, "study.sampler=tpe", "study.n_trials=3", *place)
        self.space = parse_space(self.config)
        self.deaths = Deaths()
        self.counted: Counter[int] = Counter()
        self.patch = pytest.MonkeyPatch()
        for module in (attempts, claim):
            self.patch.setattr(module, "reach", self.deaths.reach)

    def teardown(self) -> None:
        """Let living workers finish what is left; then every trial has ended, once."""
        self.deaths.at = None
        for trial in attempts.running(self.study):
            self.bury(trial.number)
        for _ in range(40):
            reap(self.study, grace_s=1e9, retries=9)
            claimed = claim.claim(self.study, self.config, self.space, worker=sign())
            if claimed is None:
                break
            assert end(self.study, claimed.number, DONE, value=0.5)
            self.counted[claimed.number] += 1
        last = [trial for trial in self.study.get_trials(deepcopy=False) if not superseded(trial)]
        assert len(last) == 3
        assert len({root(trial) for trial in last}) == 3
        assert all(trial.state.is_finished() for trial in last)
        assert all(count <= 1 for count in self.counted.values()), "a result was told twice"
        told = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
        assert {trial.number for trial in told} <= {number for number, count in self.counted.items() if count}
        self.patch.undo()
        engine(self.study).dispose()
        shutil.rmtree(self.folder)

    def bury(self, number: int) -> None:
        trial = self.study.get_trials(deepcopy=False)[number]
        self.study._storage.set_trial_user_attr(trial._trial_id, "worker", NOBODY)

    @rule(target=claims, death=DEATHS)
    def start(self, death: str | None) -> Claim | None:
        self.deaths.at = death
        try:
            return claim.claim(self.study, self.config, self.space, worker=sign())
        except Died:
            for trial in attempts.running(self.study):
                if trial.user_attrs.get("worker") == sign() and trial.number not in self.held():
                    self.bury(trial.number)
            return None
        finally:
            self.deaths.at = None

    def held(self) -> set[int]:
        return {value.number for value in self.names_to_values.values() if isinstance(value, Claim)}

    @rule(claimed=claims, reason=st.sampled_from([None, "bug", "oom", "interrupted", "lost"]), death=DEATHS)
    def finish(self, claimed: Claim | None, reason: str | None, death: str | None) -> None:
        """End an attempt; also one that was ended already, as a worker does that was taken for dead."""
        if claimed is None:
            return
        self.deaths.at = death
        outcome = failed(reason) if reason else DONE
        retries = {"interrupted": 9, "lost": 9, "oom": 1}.get(reason or "", 0)
        try:
            took = end(self.study, claimed.number, outcome, value=None if reason else 0.5, retries=retries)
        except Died:
            if claimed.number in {trial.number for trial in attempts.running(self.study)}:
                self.bury(claimed.number)
            return
        finally:
            self.deaths.at = None
        self.counted[claimed.number] += took
        assert self.counted[claimed.number] <= 1

    @rule(claimed=claims)
    def die(self, claimed: Claim | None) -> None:
        if claimed and claimed.number in {trial.number for trial in attempts.running(self.study)}:
            self.bury(claimed.number)

    @rule(death=DEATHS)
    def reaper(self, death: str | None) -> None:
        self.deaths.at = death
        try:
            reap(self.study, grace_s=1e9, retries=9)
        except Died:
            pass
        finally:
            self.deaths.at = None

    @invariant()
    def never_two_at_once_and_never_too_many(self) -> None:
        trials = self.study.get_trials(deepcopy=False)
        open_ones = Counter(root(trial) for trial in trials if not superseded(trial))
        assert len(open_ones) <= 3
        assert all(count == 1 for count in open_ones.values())
        followers = Counter(t.user_attrs["retry_of"] for t in trials if "retry_of" in t.user_attrs)
        assert all(count == 1 for count in followers.values()), "a retry was doubled"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_whoever_dies_where_every_trial_ends_once(database: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres") if database == "postgresql" else None
    run_state_machine_as_test(
        type("WorkersThere", (Workers,), {"server": server}),
        settings=settings(
            max_examples=int(os.environ.get("TUNE_TEST_EXAMPLES", "12")),
            stateful_step_count=15,
            deadline=None,
            phases=[Phase.generate],  # shrinking takes minutes with a database in every step
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_failure_is_tried_again_as_often_as_asked_and_no_more(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.n_trials=1")
    tries = []
    while claimed := claim.claim(study, config, parse_space(config), worker=sign()):
        tries.append((claimed.root, claimed.attempt))
        end(study, claimed.number, failed("bug"), retries=2)

    assert tries == [(0, 1), (0, 2), (0, 3)]
    assert [superseded(trial) for trial in study.get_trials(deepcopy=False)] == [True, True, False]


def test_a_retry_keeps_its_point_and_its_run(tmp_path: Path) -> None:
    study, config = new_study(tmp_path)
    first = claim.claim(study, config, parse_space(config), worker=sign())
    assert first is not None
    first.trial.set_user_attr("run_id", "abc")
    end(study, first.number, failed("interrupted"), retries=9)
    second = claim.claim(study, config, parse_space(config), worker=sign())
    assert second is not None
    again = claim.claim(study, config, parse_space(config), worker=sign())
    assert again is not None

    assert (again.root, again.attempt, again.point) == (first.root, 2, first.point)
    assert again.trial.user_attrs["run_id"] == "abc"


def test_a_late_result_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    study, config = new_study(tmp_path)
    claimed = claim.claim(study, config, parse_space(config), worker=NOBODY)
    assert claimed is not None
    assert reap(study, grace_s=1e9, retries=0) == [claimed.number]

    assert end(study, claimed.number, DONE, value=0.5) is False

    trial = study.get_trials(deepcopy=False)[claimed.number]
    assert trial.state.name == "FAIL"
    assert trial.user_attrs["reason"] == "lost"


def test_a_silent_worker_is_dead_after_its_grace_and_not_before(tmp_path: Path) -> None:
    study, config = new_study(tmp_path)
    claimed = claim.claim(study, config, parse_space(config), worker="elsewhere/00000000 1 0.00")
    assert claimed is not None

    assert reap(study, grace_s=60, retries=0) == []
    assert reap(study, grace_s=-1, retries=0) == [claimed.number]
    assert "no sign of life" in study.get_trials(deepcopy=False)[claimed.number].user_attrs["message"]


def test_mending_twice_makes_one_follower(tmp_path: Path) -> None:
    study, config = new_study(tmp_path)
    claimed = claim.claim(study, config, parse_space(config), worker=sign())
    assert claimed is not None
    study._storage.set_trial_user_attr(claimed.trial._trial_id, "again", value=True)
    import optuna

    study.tell(claimed.number, state=optuna.trial.TrialState.FAIL)

    with study_lock(study):
        assert mend(study) == [claimed.number]
        assert mend(study) == []
