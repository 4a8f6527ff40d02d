"""Whether programs that a model wrote pass their tests, found by running them; see `code_jail` for how."""

import os
import platform
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tune.config.code import CodeConfig
from tune.errors import DataError
from tune.evaluate.code_jail import CodeScore, Keeper, check_jail, run_program
from tune.evaluate.code_program import programs_of
from tune.examples import Example

_VERSION = 2
"""Rises when the same replies and tests would give other scores, or more is counted of them."""

EMPTY = CodeScore(verdict="empty", detail="there is no code")


def score_code(examples: Sequence[Example], replies: Sequence[str], limits: CodeConfig) -> list[CodeScore]:
    """Return how each reply's program ends under its example's tests, in their order.

    Args:
        examples: Their tests stand in `extra`, as the layouts humaneval and mbpp put them there.
        replies: What the model said to each.
        limits: Of one program; and how many run at once.

    Raises:
        DataError: An example has no tests.
        EvaluationError: This machine cannot shut a program in.
    """
    check_tests(examples)
    jail = check_jail(limits)

    keepers: set[Keeper] = set()

    def score(example: Example, reply: str) -> CodeScore:
        programs = programs_of(reply, example.extra)
        return run_program(programs, limits, jail, running=keepers) if programs else EMPTY

    pool = ThreadPoolExecutor(limits.n_parallel or len(os.sched_getaffinity(0)))
    try:
        running = [pool.submit(score, *pair) for pair in zip(examples, replies, strict=True)]
        return [done.result() for done in running]
    except BaseException:  # also a request to stop, which does not wait for a program
        pool.shutdown(wait=False, cancel_futures=True)
        for keeper in tuple(keepers):
            keeper.kill()
        raise
    finally:
        pool.shutdown()


def check_tests(examples: Sequence[Example]) -> None:
    """Refuse examples without tests.

    Raises:
        DataError: One has none; the text names it.
    """
    bare = next((example.id for example in examples if "test" not in example.extra), None)
    if bare is not None:
        msg = (
            f"data.metrics has code, but {bare} has no tests. Give rows as HumanEval has them (prompt, entry_point, "
            "test, canonical_solution) or MBPP (text or prompt, test_list, code), or take another metric."
        )
        raise DataError(msg)


def code_digest(examples: Sequence[Example], limits: CodeConfig) -> list[Any]:
    """Return all that moves a score besides question and reply: limits, tests, and the Python that runs them."""
    tests: list[Mapping[str, Any]] = [dict(example.extra) for example in examples]
    return [_VERSION, limits.timeout_s, limits.memory_mib, platform.python_version_tuple()[:2], tests]
