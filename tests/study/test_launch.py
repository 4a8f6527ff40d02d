"""Points that do not fit are never launched, and what runs out of memory anyway is tried again in smaller pieces."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.promises.study_process import CONF, SMALL, runs_of, tune
from tune.config.compose import compose
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.study.launch import Launcher
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
