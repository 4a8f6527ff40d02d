"""A metric of the user's own: one Python file, named on the command line and run with the user's rights.

It is read once. What was read is what the digest is of and what is run, whatever happens to the file afterwards.
"""

import ast
import hashlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.config.scoring_rules import own_name
from tune.errors import ConfigError, EvaluationError, nearest
from tune.examples import Example

_SHOWN = 80
"""Characters of a reply that a message repeats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnMetric:
    """A function of a file, not run yet."""

    setting: str
    """As evaluate.metric has it."""

    name: str
    source: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 of function and file."""
        return hashlib.sha256(f"{self.name}\n{self.source}".encode()).hexdigest()

    def load(self) -> Callable[[dict[str, Any], str], Any]:
        """Run the file, once a process, and return its function.

        Raises:
            ConfigError: The file raises, or its name holds no function.
        """
        return _load(self)

    def score(self, examples: Sequence[Example], replies: Sequence[str]) -> NDArray[np.float64]:
        """Return (N,) what the function says of each reply; true is 1.

        Raises:
            EvaluationError: It raises, or returns what is no finite number; the example is named.
        """
        function = self.load()
        pairs = zip(examples, replies, strict=True)
        return np.array([self._one(function, example, reply) for example, reply in pairs], dtype=np.float64)

    def _one(self, function: Callable[[dict[str, Any], str], Any], example: Example, reply: str) -> float:
        where = f"evaluate.metric={self.setting}, example {example.id}, reply {_short(reply)}"
        try:
            value = function(_plain(example), reply)
        except Exception as error:
            msg = f"{where}: the function raised {type(error).__name__}: {error}. Let it return a score for any reply."
            raise EvaluationError(msg) from error
        if not isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating) or not math.isfinite(value):
            msg = f"{where}: the function returned {_short(repr(value))}, no finite number and not true or false."
            raise EvaluationError(msg)
        return float(value)


def read_own_metric(setting: str) -> OwnMetric:
    """Return a metric after looking at its file; nothing of it is run.

    Raises:
        ConfigError: The file cannot be read or is no Python, or has no such function of two arguments.
    """
    file, name = own_name(setting)
    try:
        source = Path(file).expanduser().read_text(encoding="utf-8")
        tree = ast.parse(source, file)
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError, RecursionError) as error:
        msg = f"evaluate.metric={setting}: {file} cannot be read as Python: {error}. Name a file as FILE.py:FUNCTION."
        raise ConfigError(msg) from error
    names = dict(_names(tree.body))
    if name not in names:
        msg = f"evaluate.metric={setting}: {file} has no function {name} at its top level. {_known(name, names)}"
        raise ConfigError(msg)
    function = names[name]
    if isinstance(function, ast.AsyncFunctionDef | ast.ClassDef) or (
        isinstance(function, ast.FunctionDef) and not _takes_two(function.args)
    ):
        msg = f"evaluate.metric={setting}: it must be a function of two arguments, def {name}(example, reply)."
        raise ConfigError(msg)
    return OwnMetric(setting=setting, name=name, source=source)


class _Kept(InspectLoader):
    """Runs a text that was read before."""

    def __init__(self, source: str, file: str) -> None:
        self._source, self._file = source, file

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - the loader's contract
        """Return the text."""
        return self._source

    def get_code(self, fullname: str) -> CodeType:
        """Return it compiled, with the file's name for tracebacks."""
        return self.source_to_code(self.get_source(fullname), self._file)


@cache
def _load(metric: OwnMetric) -> Callable[[dict[str, Any], str], Any]:
    file, name = own_name(metric.setting)
    title = f"tune_own_metric_{metric.digest[:12]}"
    spec = spec_from_loader(title, _Kept(metric.source, file), origin=file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    module.__file__ = str(Path(file).expanduser().resolve())
    sys.modules[title] = module  # dataclasses and pickle look a class up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        msg = (
            f"evaluate.metric={metric.setting}: {file} raised {type(error).__name__} when it was run: {error}. Mend it."
        )
        raise ConfigError(msg) from error
    function = getattr(module, name, None)
    if not callable(function):
        msg = f"evaluate.metric={metric.setting}: {name} is no function after {file} was run. Define it there with def."
        raise ConfigError(msg)
    return function  # type: ignore[no-any-return]


def _names(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield what a file binds at its top level: functions, and names that are assigned or imported."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name, node) for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from ((target.id, node) for target in node.targets if isinstance(target, ast.Name))


def _known(name: str, names: dict[str, ast.stmt]) -> str:
    functions = [known for known, node in names.items() if isinstance(node, ast.FunctionDef)]
    return nearest(name, functions) if functions else f"Write one: def {name}(example, reply)."


def _takes_two(arguments: ast.arguments) -> bool:
    """Return whether a function can be called with two arguments by their places."""
    places = len(arguments.posonlyargs) + len(arguments.args)
    needed = places - len(arguments.defaults)
    named = any(default is None for default in arguments.kw_defaults)
    return needed <= 2 and (places >= 2 or arguments.vararg is not None) and not named  # noqa: PLR2004


def _plain(example: Example) -> dict[str, Any]:
    """Return an example as plain data, new each time: what the function does to it harms nobody."""
    return {
        "id": example.id,
        "messages": [asdict(message) for message in example.messages],
        "answer": example.answer,
        "label": example.label,
        "extra": dict(example.extra),
    }


def _short(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
