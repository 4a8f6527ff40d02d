"""The largest memory of a trial is its own, whatever ran before it in the same process."""

import subprocess
import sys

import pytest

AFTER_A_LARGE_ONE = """
import numpy, torch
from tune.trial.meter import Meter, forget_peak
cpu = torch.device("cpu")
forget_peak()  # importing took more for a moment
before = Meter(cpu).read()["cost/peak_gib"]
large = numpy.ones(2**27)
first = Meter(cpu).read()["cost/peak_gib"]
del large
kept = Meter(cpu).read()["cost/peak_gib"]
forget_peak()
second = Meter(cpu).read()["cost/peak_gib"]
print(first - before, kept - first, second - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there the peak can begin anew")
def test_a_small_trial_after_a_large_one_is_told_its_own_peak() -> None:
    done = subprocess.run([sys.executable, "-c", AFTER_A_LARGE_ONE], capture_output=True, text=True, check=True)

    larger, kept, after = map(float, done.stdout.split())
    assert larger == pytest.approx(1.0, abs=0.05)
    assert kept == pytest.approx(0, abs=0.01), "what was freed still counts"
    assert after < 0.05
