"""Time programs that add two numbers: what is measured is the process around them."""

import sys
import time

from tune.config.code import CodeConfig, Jail
from tune.errors import EvaluationError
from tune.evaluate.code import score_code
from tune.evaluate.code_jail import check_jail
from tune.examples import Example, Message

EXAMPLE = Example(
    id="add",
    messages=(Message(role="user", content="def add(a, b):"),),
    answer="    return a + b",
    extra={
        "prompt": "def add(a, b):",
        "entry_point": "add",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    },
)


def main(n_programs: int) -> None:
    """Print one line for each jail and each number of programs at once."""
    for jail in (Jail.namespaces, Jail.filter):
        try:
            check_jail(CodeConfig(jail=jail))
        except EvaluationError as error:
            print(f"{jail}: {error}")
            continue
        for n_parallel in (1, 2):
            limits = CodeConfig(jail=jail, n_parallel=n_parallel)
            began = time.perf_counter()
            scores = score_code([EXAMPLE] * n_programs, [EXAMPLE.answer] * n_programs, limits)
            each = (time.perf_counter() - began) / n_programs * 1000
            n_right = sum(score.right for score in scores)
            print(f"{jail}, {n_parallel} at once: {each:.0f} ms a program, {n_right} of {n_programs} right")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100)
