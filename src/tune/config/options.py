"""What the options of a config group set, where a sweep searches them: `quantization: [none, nf4]`.

Each option is composed as if it had been asked for on the command line, so it stands below every key that the user or
the sweep sets. What came out of it is kept with the sweep: a study that goes on, or a worker on another machine, does
not read the option's file again.
"""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tune.errors import ConfigError

Leaves = Mapping[str, Any]


def searched_options(space: Mapping[str, Any], groups: Sequence[str]) -> dict[str, list[str]]:
    """Return the options that a space names, by group.

    Args:
        space: `sweep.space`.
        groups: The config groups that a trial is made of.

    Raises:
        ConfigError: A group is given something that is no list of names.
    """
    found = {}
    for key in space.keys() & set(groups):
        given = space[key]
        choices = given.get("choices") if isinstance(given, dict) and "times" not in given else given
        if not isinstance(choices, list) or not all(isinstance(option, str) for option in choices):
            msg = (
                f"sweep.space.{key}={given} is not allowed: {key} is a config group, so list names of its options, "
                f"as in {key}: [ONE, ANOTHER]; or search a key of it, as in {key}.KEY."
            )
            raise ConfigError(msg)
        found[key] = choices
    return found


def resolve(
    searched: Mapping[str, Sequence[str]], overrides: Sequence[str], compose: Callable[[list[str]], Leaves]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return group → option → key → value, for all keys in which the options of a group differ.

    Args:
        searched: Group → its options.
        overrides: What the user gave.
        compose: Returns the keys and values of a trial that overrides make.

    Raises:
        ConfigError: There is no such option, or an override does not go with it.
    """
    return {group: _of_group(group, options, overrides, compose) for group, options in sorted(searched.items())}


def _of_group(
    group: str, options: Sequence[str], overrides: Sequence[str], compose: Callable[[list[str]], Leaves]
) -> dict[str, dict[str, Any]]:
    others = [word for word in overrides if not re.match(rf"\+*{group}(@[^=]*)?=", word)]
    composed = {}
    for option in options:
        try:
            composed[option] = compose([*others, f"{group}={option}"])
        except ConfigError as error:
            msg = f"sweep.space.{group}: {error}"
            raise ConfigError(msg) from error
    _refuse_alike(group, composed, overrides)
    configured = compose(list(overrides))
    every = [configured, *composed.values()]
    differing = [key for key in configured if any(leaves[key] != configured[key] for leaves in every)]
    return {option: {key: leaves[key] for key in differing} for option, leaves in composed.items()}


def _refuse_alike(group: str, composed: Mapping[str, Leaves], overrides: Sequence[str]) -> None:
    for one, other in itertools.combinations(composed, 2):
        if composed[one] == composed[other]:
            inside = [word for word in overrides if word.lstrip("+").startswith(f"{group}.")]
            why = f" where {' '.join(inside)} stands above them" if inside else ""
            way_out = f"Leave {' '.join(inside)} out, or take" if inside else "Take"
            msg = (
                f"sweep.space.{group}: {group}={one} and {group}={other} make the same trial{why}, so nothing is "
                f"compared. {way_out} one of them out of the list."
            )
            raise ConfigError(msg)
