"""Every promise is shown by a test."""

import re
import subprocess
import sys
from pathlib import Path

from tests.promises.rows import TITLES

HERE = Path(__file__).parent
ELSEWHERE = (HERE.parent / "test_security.py", HERE.parent / "track" / "test_ui.py")
"""Tests of promises that stand beside what they test; scripts/promises runs them too."""


def test_every_promise_has_a_test() -> None:
    files = [*HERE.glob("test_*.py"), *ELSEWHERE]
    shown = {int(number) for file in files for number in re.findall(r"mark\.promise\((\d+)\)", file.read_text())}

    assert set(TITLES) == set(range(1, 28))
    assert shown == set(TITLES)


def test_the_script_runs_all_of_them() -> None:
    script = (HERE.parents[1] / "scripts" / "promises").read_text()

    for file in ELSEWHERE:
        assert file.relative_to(HERE.parents[1]).as_posix() in script


def test_a_test_that_stands_elsewhere_is_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.promise(25)\ndef test_it(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.promises.plugin", "-p", "no:cacheprovider"]

    done = subprocess.run(
        [*command, "-c", "pyproject.toml", str(tmp_path), "--rows=25"],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert re.search(r"^25  PASS ", done.stdout, re.MULTILINE), done.stdout
