"""The README's commands are commands: each one composes, and what it points to is there."""

import re
import shlex
from pathlib import Path

import pytest

from tune.commands import COMMANDS
from tune.config import rules
from tune.config.compose import compose
from tune.words import read_words

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text()
LINES = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
TUNE = [line for line in LINES if line.startswith(("./scripts/tune", "python -m tune"))]
EXPORTS = [line for line in LINES if line.startswith("export ")]


def test_the_commands_are_found() -> None:
    assert len(TUNE) >= 8
    assert set(LINES) - set(TUNE) - set(EXPORTS) == {"./scripts/test"}


def test_the_variables_are_read() -> None:
    source = "".join(file.read_text() for file in (TOP / "src").rglob("*.py"))

    assert len(EXPORTS) == 2
    for line in EXPORTS:
        assert f'"{line.removeprefix("export ").partition("=")[0]}"' in source


@pytest.mark.parametrize("line", TUNE)
def test_a_command_composes(line: str) -> None:
    words = read_words(shlex.split(line.removeprefix("./scripts/tune").removeprefix("python -m tune")), COMMANDS)

    assert words.command in COMMANDS
    rules.check(compose(words.overrides))


def test_every_linked_file_is_there() -> None:
    for page in [TOP / "README.md", *(TOP / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} points to {link}"
