"""Which tasks lm-eval has, and in which file each is defined; lm-eval itself is not imported.

It has some 14,000 files and takes 7 to 10 s to look through them. Here their first-level lines are read and no more
(about a second), and only the files of the tasks that are asked for are parsed. A folder of one's own is read
likewise, and what it defines stands before what lm-eval brings.
"""

import functools
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

_LINE = re.compile(
    r"^[\"']?(task|group|tag|class|include)[\"']?[ \t]*:[ \t]*(.*(?:\n(?:[ \t]*-.*|[ \t]*#.*|[ \t]*))*)", re.MULTILINE
)
_NO_NAMES = {"__pycache__", ".ipynb_checkpoints"}


class Kind(StrEnum):
    """What a name stands for."""

    task = "task"
    group = "group"
    """Tasks that its file lists."""

    tag = "tag"
    """Tasks whose files name it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name that can be asked for."""

    kind: Kind
    file: Path | None
    """Where it is defined; a tag is nowhere."""

    members: tuple[str, ...] = ()
    """The tasks of a tag."""


Index = Mapping[str, Entry]


def task_index(own: str | None) -> Index:
    """Return every name that evaluate.tasks may have.

    Args:
        own: evaluate.tasks_dir, a folder of task files.
    """
    found = dict(_of_folder(builtin_folder()))
    return found | dict(_of_folder(Path(own).expanduser().resolve())) if own else found


def builtin_folder() -> Path:
    """Return where lm-eval keeps its tasks."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None, "lm-eval is a dependency"
    assert spec.origin is not None
    return Path(spec.origin).resolve().parent / "tasks"


def read_definition(file: Path) -> dict[str, Any]:
    """Return a task's or group's file with what it includes; functions stay the words that name them.

    Raises:
        yaml.YAMLError: It is not YAML.
        OSError: It or a file that it includes cannot be read.
    """
    loader = _Loader(file.read_text(encoding="utf-8"))
    try:
        content = loader.get_single_data()
    finally:
        loader.dispose()
    if not isinstance(content, dict):
        return {}
    includes = content.pop("include", [])
    merged: dict[str, Any] = {}
    for include in [includes] if isinstance(includes, str) else includes:
        merged |= read_definition(file.parent / include)
    return merged | content


class Function(str):
    """The name of a Python function, as a task's file has it: `!function utils.process`."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML has no types
    """A safe loader, which makes plain data alone; `!function` is read as the name behind it."""


_Loader.add_constructor("!function", lambda loader, node: Function(loader.construct_scalar(node)))


@functools.cache
def _of_folder(folder: Path) -> Index:
    """Return the names of a folder and all below it; of two files with one name the first by path counts."""
    found: dict[str, Entry] = {}
    tags: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.yaml"), key=lambda file: file.as_posix()):
        if _NO_NAMES.intersection(file.parts):
            continue
        head = _head(file)
        kind = Kind.task if "class" in head else Kind.group if "group" in head else Kind.task
        for name in head.get(kind.value, [])[:1]:
            if name in found:
                continue
            found[name] = Entry(kind, file)
            if kind is Kind.task:
                for tag in head.get("tag", []):
                    tags.setdefault(tag, []).append(name)
    return found | {tag: Entry(Kind.tag, None, tuple(sorted(names))) for tag, names in tags.items() if tag not in found}


@functools.cache
def _head(file: Path) -> dict[str, list[str]]:
    """Return what a file and those that it includes say at their first level of task, group, tag and class."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    own = {match[1]: list(_words(match[2])) for match in _LINE.finditer(text)}
    merged: dict[str, list[str]] = {}
    for include in own.pop("include", []):
        merged |= _head((file.parent / include).resolve())
    return merged | own


def _words(text: str) -> Iterator[str]:
    """Yield the words of a value: one, or a list in brackets or line by line."""
    for line in text.splitlines():
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        for word in bare.removeprefix("- ").strip("[]").split(","):
            if word.strip():
                yield word.strip().strip("\"'")
