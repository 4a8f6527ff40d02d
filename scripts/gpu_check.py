"""Run tests/gpu and print a line a check: what was checked, the result, the figures."""

import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "tests" / "gpu"


class Table:
    """Keeps what pytest tells, one row a check."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take the result of a check; what fails while it is made ready counts too."""
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
            figures = dict(report.user_properties).get("figures", "")
            why = str(report.longrepr).strip().splitlines()[-1] if report.failed else ""
            self.rows.append((name, report.outcome, " | ".join(filter(None, (str(figures), why)))))


def main() -> int:
    """Return 0 where every check passed, 1 where one did not, 2 where there is no GPU."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    import torch

    if not torch.cuda.is_available():
        print(
            "no GPU was checked: torch sees no CUDA device here. Run this on a machine that has one.", file=sys.stderr
        )
        return 2
    import pytest

    table = Table()
    # Warnings are errors in the tests of every day; here a library may say more than it does without a GPU.
    code = int(pytest.main([str(FOLDER), "-q", "-W", "default", *sys.argv[1:]], plugins=[table]))
    print(f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}")
    width = max((len(name) for name, *_ in table.rows), default=0)
    for name, result, figures in table.rows:
        print(f"{name:{width}}  {result:7}  {figures}")
    return 0 if code == 0 and table.rows and all(result == "passed" for _, result, _ in table.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
