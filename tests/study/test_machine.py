"""What a worker gets of the machine."""

import subprocess
import sys

import pytest

from tune.config.compose import compose
from tune.study import machine

EAT = """
import sys
from tune.study.machine import limit_own_memory
limit_own_memory(int(sys.argv[1]))
held = []
try:
    for _ in range(100):
        held.append(bytearray(10_000_000))
except MemoryError:
    print(len(held))
"""


def test_memory_is_divided_by_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "total_memory", lambda: 20 * 1024**3)

    # 0.9 x 20 GiB / 3 workers = 6 GiB
    assert machine.memory_limit(compose(["workers.count=3"])) == 6 * 1024**3
    assert machine.memory_limit(compose(["workers.count=3", "workers.memory_gib=1.5"])) == 1.5 * 1024**3


def test_no_more_workers_than_memory_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "n_cores", lambda: 64)
    monkeypatch.setattr(machine, "n_gpus", lambda: 0)
    monkeypatch.setattr(machine, "total_memory", lambda: 10 * 1024**3)

    assert machine.n_workers(compose([])) == 2
    assert machine.n_threads(compose([])) == 32


def test_an_allocation_beyond_the_limit_fails_in_the_process_that_asked_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EAT, str(300_000_000)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert 5 < int(done.stdout) < 30


def test_what_a_process_and_its_children_hold_is_counted() -> None:
    program = "held = bytearray(100_000_000); print(len(held), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True)
    assert child.stdout is not None
    child.stdout.readline()

    assert machine.held_memory(child.pid) > 100_000_000
    child.communicate("\n")
    assert machine.held_memory(child.pid) == 0
