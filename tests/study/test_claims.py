"""What is claimed next: no point twice, none lost by a cut-off claim, and none where memory does not suffice."""

import math
from pathlib import Path
from typing import Any

import pytest

from tests.study.test_attempts import DONE, failed, new_study
from tune.config.compose import compose
from tune.config.schema import Config
from tune.study import attempts, claim
from tune.study.attempts import end, reap
from tune.study.claim import Claim
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.study.storage import StudyFolder, open_study, snapshot


class Died(BaseException):
    """The process is gone."""


def take(study: Any, config: Config) -> Claim:
    claimed = claim.claim(study, config, parse_space(config), worker=sign())
    assert claimed is not None
    return claimed


def searched(runs: Path, *words: str) -> tuple[Any, Config]:
    study, config = new_study(runs, "study.sampler=random", "study.n_trials=8", *words)
    assert config.sweep is not None
    config.sweep.space = {"train.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    return study, config


def test_a_claim_that_was_cut_off_draws_what_it_would_have_drawn(tmp_path: Path, monkeypatch) -> None:
    study, config = searched(tmp_path / "whole")
    whole = [take(study, config).point for _ in range(4)]
    study, config = searched(tmp_path / "broken")
    broken = [take(study, config).point]

    def die(place: str) -> None:
        if place == "claim: asked":
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(claim, "reach", die)
        with pytest.raises(Died):
            take(study, config)
    cut_off = attempts.running(study)[-1]
    assert reap(study, grace_s=1e9, retries=2) == [cut_off.number]
    broken += [take(study, config).point for _ in range(3)]

    assert broken == whole
    assert len({point["train.learning_rate"] for point in broken}) == 4


def test_workers_that_claim_in_turn_draw_as_one_would(tmp_path: Path) -> None:
    import optuna

    study, config = searched(tmp_path)
    other = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    points = [take(which, config).point for which in (study, other, study, other)]
    alone, config = searched(tmp_path / "alone")

    assert points == [take(alone, config).point for _ in range(4)]


def test_a_cell_of_a_grid_stays_whole_when_its_claim_is_cut_off_half_drawn(tmp_path: Path, monkeypatch) -> None:
    study, config = new_study(tmp_path)
    assert config.sweep is not None
    config.sweep.space = {"lora.rank": [2, 4], "lora.alpha": [8, 16]}
    claim.enqueue_grid(study, config)
    cells = [trial.system_attrs["fixed_params"] for trial in study.get_trials(deepcopy=False)]

    def half(space: Any, trial: Any, config: Config) -> dict[str, Any]:  # noqa: ARG001
        trial.suggest_categorical("lora.rank", (2, 4))
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(claim, "suggest", half)
        with pytest.raises(Died):
            take(study, config)
    reap(study, grace_s=1e9, retries=2)

    waiting = [t for t in study.get_trials(deepcopy=False) if t.state.name == "WAITING"]
    assert waiting[-1].system_attrs["fixed_params"] == cells[0]


def test_a_worker_that_comes_before_the_queue_is_filled_takes_a_cell_of_the_grid(tmp_path: Path) -> None:
    config = compose(["+sweep=smoke"])
    study, _ = open_study(config, tmp_path)
    assert config.sweep is not None
    config.sweep.space = {"lora.rank": [2, 4], "lora.alpha": [8, 16]}

    early = take(study, config)
    claim.enqueue_grid(study, config)
    late = [take(study, config) for _ in range(3)]

    cells = [tuple(sorted(one.point.items())) for one in (early, *late)]
    assert len(set(cells)) == 4
    assert claim.claim(study, config, parse_space(config), worker=sign()) is None


def test_the_same_configuration_is_known_again_unless_its_seed_differs(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.sampler=random", "study.n_trials=9")
    assert config.sweep is not None
    config.sweep.space = {"lora.rank": [4], "lora.alpha": {"times": "lora.rank", "choices": [1, 1.1]}}  # 4.4 is 4 too
    first = take(study, config)
    second = take(study, config)

    assert first.twin is None
    assert second.twin == first.root
    end(study, first.number, DONE, value=0.5)
    assert take(study, config).twin == first.root
    config.seed = 1
    assert take(study, config).twin is None


def test_of_two_that_run_only_the_later_waits(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.sampler=random", "study.n_trials=9")
    assert config.sweep is not None
    config.sweep.space = {"lora.rank": [4]}
    first, second = take(study, config), take(study, config)
    end(study, first.number, failed("interrupted"), retries=9)

    again = take(study, config)

    assert (again.root, again.attempt, second.twin) == (first.root, 2, first.root)
    assert again.twin is None, "the two would wait for each other"


def test_what_does_not_fit_is_told_to_the_sampler_and_has_no_value(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.sampler=tpe", "study.n_trials=9")
    claimed = take(study, config)

    assert end(study, claimed.number, failed("oom"))

    trial = study.get_trials(deepcopy=False)[claimed.number]
    assert trial.state.name == "PRUNED"
    assert trial.constraints == {"memory": 1.0}
    assert trial.values is None
    assert take(study, config).number == claimed.number + 1


def test_what_does_not_fit_is_tried_again_as_often_as_asked(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.sampler=tpe", "study.n_trials=1")
    first = take(study, config)
    end(study, first.number, failed("oom"), retries=1)
    second = take(study, config)
    end(study, second.number, failed("oom"), retries=1)

    assert [trial.state.name for trial in study.get_trials(deepcopy=False)] == ["FAIL", "PRUNED"]
    assert claim.claim(study, config, parse_space(config), worker=sign()) is None


def test_an_end_that_the_database_cut_off_is_not_told_twice(tmp_path: Path) -> None:
    study, config = new_study(tmp_path)
    claimed = take(study, config)

    assert end(study, claimed.number, DONE, value=0.5, about={"ending": "mine"})
    assert end(study, claimed.number, DONE, value=0.5, about={"ending": "mine"}), "the same call again: it was done"
    assert not end(study, claimed.number, DONE, value=0.5, about={"ending": "another's"})


def lose(study: Any, config: Config, reached: int, *, reason: str = "lost") -> Claim:
    """Claim a trial, and lose its worker after so many steps."""
    claimed = claim.claim(study, config, parse_space(config), worker=f"{sign().split()[0]} 4194999 0")
    assert claimed is not None
    before = math.inf if reason == "interrupted" else 0
    reap(study, grace_s=1e9, retries=2, reached=lambda _: reached, interrupted_before=before)
    return claimed


def test_a_trial_that_gets_on_is_not_given_up(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.sampler=random", "study.n_trials=1")

    tries = [lose(study, config, reached) for reached in (0, 0, 5, 5, 9, 9)]

    assert [(each.root, each.attempt) for each in tries] == [(0, number) for number in range(1, 7)]
    assert claim.claim(study, config, parse_space(config), worker=sign()) is not None, (
        "twice at 0, twice at 5, twice at 9"
    )


def test_a_trial_that_does_not_get_on_is_given_up_after_as_many_losses_as_allowed(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.sampler=random", "study.n_trials=1")

    tries = [lose(study, config, reached) for reached in (5, 5, 5)]

    assert [each.attempt for each in tries] == [1, 2, 3]
    assert claim.claim(study, config, parse_space(config), worker=sign()) is None
    assert study.get_trials(deepcopy=False)[-1].user_attrs["reason"] == "lost"


def test_what_was_interrupted_is_no_loss(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.sampler=random", "study.n_trials=1")

    for reason in ("interrupted", "interrupted", "lost", "interrupted", "lost"):
        lose(study, config, 0, reason=reason)

    assert claim.claim(study, config, parse_space(config), worker=sign()) is not None


def test_a_claim_that_nobody_knows_of_is_let_go(tmp_path: Path) -> None:
    study, config = searched(tmp_path)
    first = take(study, config)

    assert attempts.let_go(study, sign()) == [first.number]

    again = take(study, config)
    assert (again.root, again.attempt, again.point) == (first.root, 2, first.point)


def test_a_grid_that_is_made_smaller_leaves_the_rest_in_the_queue_and_a_retry_in_it(tmp_path: Path) -> None:
    words = ["study.retries.lost=1", "study.n_trials=null"]
    study, config = new_study(tmp_path, *words)
    assert config.sweep is not None
    first = take(study, config)
    end(study, first.number, failed("lost"), retries=1)
    config.study.n_trials = 1

    again = take(study, config)
    nothing = claim.claim(study, config, parse_space(config), worker=sign())
    config.study.n_trials = 2
    second = take(study, config)

    assert (again.root, again.attempt, again.point) == (first.root, 2, first.point)
    assert nothing is None
    assert second.point == {"lora.rank": 4}


def test_a_point_that_diverged_has_failed_and_the_sampler_is_told_that_it_cannot_be_had(tmp_path: Path) -> None:
    study, config = searched(tmp_path)
    numbers = [take(study, config).number for _ in range(2)]

    end(study, numbers[0], failed("diverged"))
    end(study, numbers[1], failed("bug"))

    shown = snapshot(study, StudyFolder(runs=tmp_path, name="smoke")).trials
    assert [(trial.state, trial.reason) for trial in shown] == [("failed", "diverged"), ("failed", "bug")]
    told = [(trial.state.name, trial.constraints) for trial in study.trials]
    assert told == [("PRUNED", {"result": 1.0}), ("FAIL", {})]


def test_a_point_that_diverged_and_is_tried_again_is_not_given_up(tmp_path: Path) -> None:
    study, config = searched(tmp_path)
    first = take(study, config)

    end(study, first.number, failed("diverged"), retries=1)
    again = take(study, config)

    assert (again.root, again.attempt, again.point) == (first.root, 2, first.point)
    assert study.trials[0].constraints == {}
