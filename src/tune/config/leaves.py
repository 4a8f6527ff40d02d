"""A configuration as its values, each under its dotted key."""

from dataclasses import asdict
from enum import Enum
from typing import Any

from tune.config.schema import Config

_WHOLE = ("sweep.space", "sweep.options")
"""Dictionaries whose keys hold dots of their own."""


def leaves(config: Config) -> dict[str, Any]:
    """Return every value under its dotted key; lists stay whole, and the sweep's space keeps its own keys."""
    found: dict[str, Any] = {}
    _collect(asdict(config), "", found)
    return found


def plain(value: Any) -> Any:
    """Return a value in plain data."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _collect(node: dict[str, Any], prefix: str, found: dict[str, Any]) -> None:
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name not in _WHOLE:
            _collect(value, f"{name}.", found)
        else:
            found[name] = plain(value)
