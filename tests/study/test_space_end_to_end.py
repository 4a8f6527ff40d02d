"""A space with all that a space may have, searched from the command line."""

import json
import shlex
from pathlib import Path

import pytest

from tests.promises.study_process import SMALL, tune
from tune.config.compose import compose

SWEEP = """# @package _global_
sweep:
  name: all
  question: Does a space with everything run?
  space:
    quantization: [none, nf4]
    quantization.double: {choices: [true, false], when: {quantization: nf4}}
    lora.rank: {low: 2, high: 9}
  reject: lora.rank > 4 and quantization == 'nf4'
  first: [{quantization: nf4, quantization.double: false, lora.rank: 3}, {quantization: none}]
study: {sampler: random, n_trials: 4}
"""


@pytest.mark.slow
def test_a_study_over_options_conditions_rejections_and_first_points(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "all.yaml").write_text(SWEEP)
    words = ["--config-dir", str(tmp_path), "+sweep=all", "model=tiny", *SMALL, "evaluate.general=none"]

    done = tune(*words, folder=tmp_path / "runs")
    again = tune(*words, folder=tmp_path / "runs")

    assert done.returncode == 0, done.stderr
    assert "quantization.double {True, False} where quantization in {nf4}" in " ".join(done.stderr.split())
    assert "4 of 4 trials have ended" in " ".join(again.stderr.split())
    record = json.loads(tune("report", "all", "report.format=json", folder=tmp_path / "runs").stdout)
    points = [trial["parameters"] for trial in record["trials"]]
    assert record["states"]["complete"] == 4
    assert points[0] == {"quantization": "nf4", "quantization.double": False, "lora.rank": 3}
    assert points[1]["quantization"] == "none"
    for trial, point in zip(record["trials"], points, strict=True):
        assert ("quantization.double" in point) == (point["quantization"] == "nf4")
        assert point["quantization"] == "none" or point["lora.rank"] <= 4
        repeated = compose(shlex.split(trial["command"])[3:])
        assert (repeated.quantization.kind, repeated.lora.rank) == (point["quantization"], point["lora.rank"])
