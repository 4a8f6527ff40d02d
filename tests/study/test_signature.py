"""A worker's signature names one process of one machine, and no other."""

import subprocess
import sys

import psutil

from tune.study.signature import is_gone, read_signature, sign


def test_a_signature_says_who_signed() -> None:
    signed = read_signature(sign())

    assert (signed.pid, str(signed)) == (psutil.Process().pid, sign())
    assert not is_gone(sign())


def test_a_process_that_ended_is_gone_also_before_it_is_waited_for() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    signed = sign(process.pid)
    assert not is_gone(signed)

    process.kill()
    psutil.wait_procs([psutil.Process(process.pid)], timeout=0.5)

    assert is_gone(signed), "a zombie runs nothing"
    process.communicate()
    assert is_gone(signed)


def test_a_later_process_with_the_same_number_is_another() -> None:
    place, pid, started = sign().rsplit(" ", 2)

    assert is_gone(f"{place} {pid} {float(started) - 60:.2f}")


def test_nothing_is_known_of_another_machine_even_under_the_same_name() -> None:
    host = read_signature(sign()).host

    assert not is_gone(f"{host}/00000000 4194999 0.00")
    assert is_gone(f"{sign().split()[0]} 4194999 0.00")
