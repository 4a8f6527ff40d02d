"""What configuration from elsewhere may not say: the words of a command line, sweep files, a folder of one's own.

A configuration names things; it runs nothing and reads nothing. Hydra would do both: it imports what
`_target_` and its own `hydra` group name, takes code from pkg:// search paths, and `${oc.env:NAME}` copies
a variable of the environment, a password perhaps, into the record of every run.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tune.errors import ConfigError

_CALLS = re.compile(r"(?<!\w)_(?:target|partial|recursive|convert|args)_(?!\w)")
_HYDRA = re.compile(r"(?:^|[\s@./:~+])hydra(?:$|[\s@./:=\[])")
# A resolver has a colon behind its opening brace. Other braces may stand between, so the rest of the text is
# searched: a plain reference followed by a colon is refused too, but nothing that is called gets by.
_RESOLVER = re.compile(r"\$\{.*:", re.DOTALL)

PERMISSIONS = {
    "model.code_from": "whether a model's own Python code may run here is yours to say",
    "evaluate.tasks_dir": "its files may hold Python code that would run here with your rights",
    "evaluate.metric": "it is Python code that would run here with your rights",
}
"""Keys that let code run which tune did not bring, and what is said of them."""


def check_words(overrides: Sequence[str]) -> None:
    """Refuse overrides that would run or read something.

    Raises:
        ConfigError: The override, what it would do, and a way out.
    """
    for word in overrides:
        _check_text(word, f"the override {word}")
        if _HYDRA.search(word.partition("=")[0]):
            raise ConfigError(_hydra(f"the override {word}"))


def check_content(content: Any, where: str) -> None:
    """Refuse a file whose content would run or read something.

    Args:
        content: What was read: dictionaries, lists and values, nothing resolved.
        where: What to call it in a message.

    Raises:
        ConfigError: What was found, what it would do, and a way out.
    """
    for text, is_name in _texts(content):
        _check_text(text, f"{where}: {text}")
        if is_name and _HYDRA.search(text):
            raise ConfigError(_hydra(f"{where}: {text}"))


def check_package(package: str | None, where: str) -> None:
    """Refuse a file that asks, in its head, to stand in Hydra's own part of the configuration.

    Raises:
        ConfigError: It does.
    """
    if package and _HYDRA.search(package):
        raise ConfigError(_hydra(f"{where}: @package {package}"))


def check_permissions(given: Mapping[str, str | None], overrides: Sequence[str]) -> None:
    """Refuse a permission to run code that a file gave: only the person at the command line can.

    Args:
        given: The keys of PERMISSIONS with their values.
        overrides: What stands on the command line.

    Raises:
        ConfigError: One is set, and not by an override.
    """
    for key, value in given.items():
        if value is not None and not any(word.lstrip("+").startswith(f"{key}=") for word in overrides):
            msg = (
                f"{key}={value} stands in a file, but {PERMISSIONS[key]}: take it out of the file and, if you trust "
                f"that code, add {key}={value} to the command."
            )
            raise ConfigError(msg)


def _check_text(text: str, what: str) -> None:
    if _CALLS.search(text):
        msg = (
            f"{what} is not allowed: a configuration names things and runs no code, so there is no "
            f"{_CALLS.findall(text)[0]} here. Take it out; `python -m tune config` shows the keys that there are."
        )
        raise ConfigError(msg)
    if _RESOLVER.search(text):
        msg = (
            f"{what} is not allowed: a value may refer to another key, as in ${{lora.rank}}, but not be computed or "
            "read from the environment (${NAME:…}), because it is written down with every run, a secret too. "
            "Write the value itself."
        )
        raise ConfigError(msg)


def _hydra(what: str) -> str:
    return (
        f"{what} is not allowed: Hydra's own settings (launcher, sweeper, search path, logging) can load code from "
        "elsewhere, and tune needs none of them. Take it out; your own groups go in a folder: --config-dir FOLDER."
    )


def _texts(node: Any, *, is_name: bool = False) -> Iterator[tuple[str, bool]]:
    """Give every text at any depth, and whether it names a part of the configuration: a key, an entry of defaults."""
    if isinstance(node, str):
        yield node, is_name
    elif isinstance(node, dict):
        for key, value in node.items():
            yield str(key), True
            yield from _texts(value, is_name=is_name or key == "defaults")
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _texts(value, is_name=is_name)
