"""Points that do not fit are never launched, and what runs out of memory anyway is tried again in smaller pieces."""

import json
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.promises.study_process import CONF, SMALL, runs_of, tune
from tune.config.compose import compose
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.model.memory import Estimate
from tune.study.attempts import end, retries_after
from tune.study.claim import claim
from tune.study.launch import Launcher, correction, forbidden
from tune.study.signature import sign
from tune.study.space import parse_space
from tune.study.storage import open_study
from tune.trial.outcome import Outcome, State

GREEDY = [
    *("--config-dir", str(CONF), "+sweep=greedy", "model=tiny", *SMALL, "data.n_train=2000", "evaluate.general=none"),
    *("train.max_steps=3", "workers.count=1", "workers.threads=1", "workers.memory_gib=2.5"),
]
"""Batches of 2, 2000 and 4 rows; the second takes about 7 GiB."""


@pytest.mark.slow
def test_a_point_above_the_limit_is_never_launched_and_the_others_are(tmp_path: Path) -> None:
    done = tune(*GREEDY, folder=tmp_path)

    assert done.returncode == 0, done.stderr
    trials = json.loads(tune("report", "greedy", "report.format=json", folder=tmp_path).stdout)["trials"]
    assert [(trial["state"], trial["reason"]) for trial in trials] == [
        ("complete", None),
        ("infeasible", "memory"),
        ("complete", None),
    ]
    assert [trial["attempt"] for trial in trials] == [1, 1, 1], "it would not fit the next time either"
    assert all(0.6 < trials[n]["metrics"]["cost/estimated_gib"] < 1 for n in (0, 2))
    assert trials[1]["metrics"]["cost/estimated_gib"] > 1.2 * 2.5
    assert "it would hold about" in trials[1]["message"]
    assert "activations" in trials[1]["message"]
    assert "workers.memory_gib is 2.5. Take a smaller train.batch_size" in trials[1]["message"]
    assert not (tmp_path / "studies/greedy/trials/0001/progress.json").exists(), "nothing of it ran"
    assert "trial 1 infeasible (memory)" in done.stdout


class Unable:
    """A forecaster that cannot tell."""

    def estimate(self, config: Config, task: Any, folder: Path) -> Any:
        msg = f"the memory of lora.method={config.lora.method} cannot be estimated: {task} {folder}"
        raise ConfigError(msg)


def test_a_trial_whose_memory_cannot_be_estimated_is_launched_with_a_note(tmp_path: Path) -> None:
    foreseen = Launcher(Unable()).foresee(Config(), None, tmp_path)
    done = foreseen.told_with(Outcome(state=State.complete, metrics={"task/score": 1.0}, notes=("a",)))

    assert foreseen.refusal is None
    assert done.metrics == {"task/score": 1.0}
    assert done.notes[0] == "a"
    assert done.notes[1].startswith("launched without knowing whether it fits: the memory of lora.method=lora cannot")


class Sized:
    """A forecaster that foretells a peak."""

    def __init__(self, peak: float, mapped: float = 0.0) -> None:
        parts = dict.fromkeys((field.name for field in fields(Estimate)), 0.0)
        self.found = Estimate(**parts | {"peak_training": peak, "mapped": mapped})  # type: ignore[arg-type]

    def estimate(self, _config: Config, _task: Any, _folder: Path) -> Estimate:
        return self.found


def seen(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"cost/peak_gib": peak, "cost/estimated_gib": estimated} for peak, estimated in pairs]


def test_measured_trials_correct_the_estimate_by_the_median_of_three_at_least() -> None:
    assert correction(seen((1.2, 1.0), (2.2, 2.0))) is None
    assert correction(seen((1.2, 1.0), (2.2, 2.0), (2.2, 2.0))) is None, "one of them took the other's result"
    assert correction([*seen((1.2, 1.0), (2.2, 2.0), (4.0, 4.0)), {}]) == pytest.approx(1.1)
    assert correction(seen((3.0, 1.0), (3.0, 1.1), (3.0, 1.2))) == 1.25
    assert correction(seen((0.1, 1.0), (0.1, 1.1), (0.1, 1.2))) == 0.8


@pytest.mark.parametrize(
    ("peak", "mapped", "measured", "fits"),
    [
        (2.39, 0.0, [], True),  # 1.2 x 2
        (2.41, 0.0, [], False),
        (2.41, 0.1, [], True),
        (2.41, 0.0, seen((0.9, 1.0), (1.8, 2.0), (3.6, 4.0)), True),  # 0.9 x 2.41 = 2.17, and 1.1 x 2 = 2.2
        (2.01, 0.0, seen((1.1, 1.0), (2.2, 2.0), (4.4, 4.0)), False),  # 1.1 x 2.01 = 2.21
    ],
)
def test_a_point_is_refused_only_well_above_the_limit(
    peak: float, mapped: float, measured: list, fits: bool, tmp_path: Path
) -> None:
    config = compose(["workers.memory_gib=2", "model.device=cpu"])

    foreseen = Launcher(Sized(peak, mapped)).foresee(config, None, tmp_path, seen=measured)

    assert (foreseen.refusal is None) == fits
    assert foreseen.gib == peak


OVER = """# @package _global_
sweep:
  name: over
  question: Does a trial that ran out of memory end well in smaller pieces?
  space: {train.batch_size: [640, 2]}
study: {sampler: grid}
"""


@pytest.mark.slow
def test_a_trial_that_ran_out_is_tried_once_more_in_smaller_pieces(tmp_path: Path) -> None:
    # 640 rows of tiny take about 1.9 GiB beside a process that has allocated 1.7, and the half of them fits.
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "over.yaml").write_text(OVER)
    words = [{str(CONF): str(tmp_path), "+sweep=greedy": "+sweep=over"}.get(word, word) for word in GREEDY]

    done = tune(*words, "workers.memory_gib=3", folder=tmp_path / "runs")

    assert done.returncode == 0, done.stderr
    report = tune("report", "over", "report.format=json", folder=tmp_path / "runs")
    trials = json.loads(report.stdout)["trials"]
    assert [(trial["state"], trial["attempt"]) for trial in trials] == [("complete", 2), ("complete", 1)]
    assert trials[0]["parameters"] == {"train.batch_size": 640}
    assert "train.batch_size=320 train.accumulation=2" in trials[0]["notes"][-1]
    repeated = compose(shlex.split(trials[0]["command"])[3:])
    assert (repeated.train.batch_size, repeated.train.accumulation) == (320, 2)
    tags = next(
        run for run in runs_of("over", tmp_path / "runs").values() if run.params["train.batch_size"] == "640"
    ).tags
    assert tags["tune.reduced"].startswith("train.batch_size=320")
    assert tags["tune.command"] == trials[0]["command"]


def test_values_that_do_not_go_together_are_not_launched_and_the_sampler_is_told(tmp_path: Path) -> None:
    config = compose(["+sweep=smoke", "sweep.seeds=[0,1]", "study.sampler=grid"])
    assert config.sweep is not None
    config.sweep.space = {"lora.method": ["lora", "prefix"], "train.gradient_checkpointing": [False, True]}
    study, _ = open_study(config, tmp_path)
    space = parse_space(config)
    claimed = [claim(study, config, space, worker=sign()) for _ in range(5)]

    found = [forbidden(config, one.point) for one in claimed if one]

    assert [one is None for one in found] == [True, True, True, False, True], "a further seed is nothing to refuse"
    refused = found[3]
    assert refused is not None
    assert (refused.state, refused.reason) == (State.infeasible, "forbidden")
    assert refused.message.startswith("it was not launched: train.gradient_checkpointing=true is not allowed with ")
    assert refused.message.endswith("With sweep.reject such points are not drawn.")
    end(study, 3, refused, retries=retries_after(refused.reason, config))
    assert study.trials[3].state.name == "PRUNED"
    assert study.trials[3].constraints == {"rules": 1.0}
