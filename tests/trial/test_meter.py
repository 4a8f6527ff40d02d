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


AFTER_HOLES = """
import torch
from pathlib import Path
from tune.trial.meter import Meter
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
meter = Meter(torch.device("cpu"))
with meter.phase("train"):
    before = resident()
    rows = [torch.ones(16 * 1024) for _ in range(4096)]  # 64 KiB each, 256 MiB
    kept = rows[::16]
    del rows
    inside = resident()
print(inside - before, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="another C library gives it back or does not")
def test_what_a_phase_freed_between_what_lives_is_given_back_at_its_end() -> None:
    done = subprocess.run([sys.executable, "-c", AFTER_HOLES], capture_output=True, text=True, check=True)

    inside, after = map(float, done.stdout.split())
    assert inside > 200
    assert after < 64


@pytest.mark.skipif(sys.platform != "linux", reason="only there the peak can begin anew")
def test_a_small_trial_after_a_large_one_is_told_its_own_peak() -> None:
    done = subprocess.run([sys.executable, "-c", AFTER_A_LARGE_ONE], capture_output=True, text=True, check=True)

    larger, kept, after = map(float, done.stdout.split())
    assert larger == pytest.approx(1.0, abs=0.05)
    assert kept == pytest.approx(0, abs=0.01), "what was freed still counts"
    assert after < 0.05
