"""What ran out of memory is tried again with fewer rows a pass and as many a step."""

import shlex
from pathlib import Path

import pytest

from tests.study.test_attempts import failed, new_study
from tests.study.test_claims import take
from tune.config.compose import compose
from tune.study.attempts import end
from tune.study.smaller import in_words, smaller

SETTINGS = ("batch_size", "accumulation", "gradient_checkpointing")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((8, 1, False), (4, 2, False)),
        ((6, 2, False), (3, 4, False)),
        ((9, 1, True), (3, 3, True)),
        ((5, 2, False), (1, 10, False)),
        ((1, 10, False), (1, 10, True)),
        ((1, 10, True), None),
    ],
)
def test_smaller_pieces_of_the_same_step_by_hand(before: tuple, after: tuple | None) -> None:
    config = compose([f"train.{name}={value}" for name, value in zip(SETTINGS, before, strict=True)])

    assert smaller(config) == (
        None if after is None else {f"train.{name}": value for name, value in zip(SETTINGS, after, strict=True)}
    )


def test_settings_as_they_stand_in_a_command() -> None:
    assert in_words({"train.batch_size": 1, "train.gradient_checkpointing": True}) == (
        "train.batch_size=1 train.gradient_checkpointing=true"
    )


def test_the_next_attempt_is_the_same_trial_in_smaller_pieces(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.n_trials=1", "train.batch_size=8")
    first = take(study, config)
    end(study, first.number, failed("oom"), retries=1)
    second = take(study, config)

    assert (second.root, second.attempt, second.point) == (first.root, 2, first.point)
    assert (first.config.train.batch_size, first.config.train.accumulation) == (8, 1)
    assert (second.config.train.batch_size, second.config.train.accumulation) == (4, 2)
    repeated = compose(shlex.split(second.trial.user_attrs["command"])[3:])
    assert (repeated.train.batch_size, repeated.train.accumulation) == (4, 2)


def test_an_attempt_in_smaller_pieces_that_is_interrupted_goes_on_with_them(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.n_trials=1", "train.batch_size=8")
    end(study, take(study, config).number, failed("oom"), retries=1)
    end(study, take(study, config).number, failed("interrupted"), retries=9)

    assert take(study, config).config.train.batch_size == 4


def test_an_attempt_that_got_further_before_it_ran_out_again_is_not_tried_a_third_time(tmp_path: Path) -> None:
    study, config = new_study(tmp_path, "study.n_trials=1")
    for reached in (0, 7):
        end(study, take(study, config).number, failed("oom"), retries=1, about={"reached": reached})

    assert [trial.state.name for trial in study.get_trials(deepcopy=False)] == ["FAIL", "PRUNED"]


def test_what_cannot_be_had_in_smaller_pieces_is_not_tried_again(tmp_path: Path) -> None:
    words = ("train.batch_size=1", "train.gradient_checkpointing=true")
    study, config = new_study(tmp_path, "study.n_trials=1", *words)

    end(study, take(study, config).number, failed("oom"), retries=1)

    (trial,) = study.get_trials(deepcopy=False)
    assert (trial.state.name, trial.constraints) == ("PRUNED", {"memory": 1.0})
