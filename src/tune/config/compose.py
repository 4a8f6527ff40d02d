"""From overrides to one checked `Config`: Hydra composes, the schema checks types, and errors become one paragraph."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from tune import paths
from tune.config.foreign import check_content, check_permission, check_words
from tune.config.options import resolve, searched_options
from tune.config.schema import Config, SweepConfig
from tune.errors import ConfigError, nearest

_NO_TRIAL = ("sweep", "study.", "workers.", "track.", "report.", "plan.", "doctor.", "clean.")
"""How the keys begin that say nothing about a trial."""

_WHOLE = ("sweep.space", "sweep.options")
"""Dictionaries whose keys hold dots of their own."""


def compose(overrides: Sequence[str], *, config_dir: Path | None = None) -> Config:
    """Return the configuration that the overrides ask for; ranges are checked by `rules.check`.

    Args:
        overrides: Hydra overrides, for example `lora.rank=8` or `+sweep=rank_alpha`.
        config_dir: The user's own folder of config groups, searched besides conf/; its sweep/ holds sweeps.

    Raises:
        ConfigError: A key, an option or a value is not allowed.
    """
    check_words(overrides)
    config = _compose(overrides, config_dir)
    if config.sweep and (searched := searched_options(config.sweep.space, _trial_groups())):
        config.sweep.options = resolve(searched, overrides, lambda words: _trial_leaves(_compose(words, config_dir)))
    return config


def _compose(overrides: Sequence[str], config_dir: Path | None) -> Config:
    import hydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from tune.config import user_files

    _register()
    search = [f"hydra.searchpath=[{_quoted(user_files.address(config_dir))}]"] if config_dir else []
    try:
        with hydra.initialize_config_dir(str(paths.conf_dir()), version_base="1.3", job_name="tune"):
            composed = hydra.compose("config", overrides=[*search, *overrides])
        config = OmegaConf.to_object(composed)
    except (HydraException, OmegaConfBaseException, AssertionError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(_explain(error, overrides)) from error
    assert isinstance(config, Config)
    check_permission(config.model.code_from, overrides)
    return config


def sweep_names() -> list[str]:
    """Return the names of the sweeps that come with tune."""
    return sorted(file.stem for file in paths.sweeps_dir().glob("*.yaml"))


def to_yaml(config: Config) -> str:
    """Return the whole configuration as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.structured(config))


def leaves(config: Config) -> dict[str, Any]:
    """Return every value under its dotted key; lists stay whole, and the sweep's space keeps its own keys."""
    found: dict[str, Any] = {}
    _collect(asdict(config), "", found)
    return found


def value_at(config: Config, key: str) -> Any:
    """Return the value of one dotted key of a trial, in plain data.

    Raises:
        ConfigError: It does not exist, is a whole group, or says nothing about a trial.
    """
    if key.startswith(_NO_TRIAL):
        msg = f"{key} says nothing about a trial: name a key of {', '.join(_trial_groups())}, or seed."
        raise ConfigError(msg)
    value: Any = config
    for part in key.split("."):
        if not is_dataclass(value) or part not in {field.name for field in fields(value)}:
            raise ConfigError(_unknown_key(key))
        value = getattr(value, part)
    if is_dataclass(value):
        msg = f"{key} is a whole group, and not searched by its options here: name a key of it, as in {key}.KEY."
        raise ConfigError(msg)
    return _plain(value)


def difference(config: Config) -> list[str]:
    """Return the overrides that make this trial out of the default configuration; the sweep itself is left out."""
    default = _default_leaves()
    return [f"{key}={_value(value)}" for key, value in _trial_leaves(config).items() if default.get(key) != value]


def _trial_leaves(config: Config) -> dict[str, Any]:
    return {key: value for key, value in leaves(config).items() if not key.startswith(_NO_TRIAL)}


@cache
def _default_leaves() -> dict[str, Any]:
    return leaves(compose([]))


def _register() -> None:
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for file in sorted(paths.sweeps_dir().glob("*.yaml")):
        try:
            node = OmegaConf.load(file)
        except (YAMLError, OmegaConfBaseException, OSError) as error:
            msg = f"the sweep file {file} is no YAML: {' '.join(str(error).split())}."
            raise ConfigError(msg) from error
        check_content(OmegaConf.to_container(node, resolve=False), str(file))
        store.store(group="sweep", name=file.stem, node=node, package="_global_")


def _collect(node: dict[str, Any], prefix: str, found: dict[str, Any]) -> None:
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name not in _WHOLE:
            _collect(value, f"{name}.", found)
        else:
            found[name] = _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(_value(item) for item in value) + "]"
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9_./:-]+", value):
        return _quoted(value)
    return str(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _explain(error: Exception, overrides: Sequence[str]) -> str:
    """Return one paragraph: what was given, what is wrong with it, what there is."""
    text = str(error)
    cause = str(error.__cause__ or "").splitlines()[0] if error.__cause__ and str(error.__cause__) else ""
    if found := re.search(r"Could not (?:find|load) '([^']+)'", text):
        return _unknown_option(found.group(1), text)
    if found := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(found.group(1).lstrip("+~"), overrides)
    if "Unexpected type for root: NoneType" in text:  # a key of what is not there
        return _unknown_key(next((o.lstrip("+").split("=")[0] for o in overrides if "sweep." in o), "sweep"))
    if found := re.search(r"Error merging override (.+)", text):
        return f"{found.group(1).splitlines()[0]} is not allowed: {cause or text.splitlines()[-1]}."
    if found := re.search(r"has no attribute '([^']+)'", text):
        return _unknown_key(
            next((o.lstrip("+").split("=")[0] for o in overrides if found.group(1) in o), found.group(1)), overrides
        )
    if "no viable alternative" in text or "Lexer" in text or "mismatched" in text or "extraneous" in text:
        near = next((o for o in overrides if o in text), " ".join(overrides))
        return (
            f"the override {near} cannot be read: {text.splitlines()[0]}. Write key=value without spaces around =, "
            "and quote values with special characters twice, for example \"data.path='my file.jsonl'\"."
        )
    return " ".join(f"{text} {cause}".split())


def _unknown_option(name: str, text: str) -> str:
    group, _, option = name.rpartition("/")
    there = re.search(r"Available options in '[^']+':\n((?:\t.+\n)+)", text)
    options = there.group(1).split() if there else _options(group)
    if not options:
        return f"the config group {group or name} does not exist. {nearest(group or name, _groups())}"
    given = f"+sweep={option}" if group == "sweep" else f"{group}={option}"
    return f"{given}: there is no {group} called {option}. {nearest(option, options)}"


def _unknown_key(key: str, overrides: Sequence[str] = ()) -> str:
    known = [name for name in leaves(Config()) if not name.startswith("sweep")] + _groups()
    if key.startswith("sweep.space") and _names_a_sweep(overrides):
        return (
            f"{key} is not among what the sweep varies, and keys of sweep.space are not named one by one here. Add to "
            "it with '+sweep.space={KEY:[VALUE,VALUE]}', or write a sweep of your own in sweep/ of a --config-dir."
        )
    if key.startswith("sweep.") and _names_a_sweep(overrides):
        return f"the key {key} does not exist. {nearest(key, [f'sweep.{one.name}' for one in fields(SweepConfig)])}"
    if key.startswith("sweep"):
        return f"{key}: there is no sweep to change. Name one with +sweep=NAME: {', '.join(sweep_names())}."
    return f"the key {key} does not exist. {nearest(key, known) if _near(key, known) else _keys_of(key, known)}"


def _names_a_sweep(overrides: Sequence[str]) -> bool:
    return any(word.lstrip("+").startswith("sweep=") for word in overrides)


def _near(key: str, known: Sequence[str]) -> bool:
    return nearest(key, known).startswith("Did")


def _keys_of(key: str, known: Sequence[str]) -> str:
    group = key.partition(".")[0]
    inside = [name for name in known if name.startswith(f"{group}.")]
    return nearest(key, inside) if inside else f"Groups and keys: {', '.join(_groups())}, seed."


def _groups() -> list[str]:
    return sorted(folder.name for folder in paths.conf_dir().iterdir() if folder.is_dir())


def _trial_groups() -> list[str]:
    return [group for group in _groups() if not f"{group}.".startswith(_NO_TRIAL)]


def _options(group: str) -> list[str]:
    return sweep_names() if group == "sweep" else sorted(f.stem for f in (paths.conf_dir() / group).glob("*.yaml"))


def from_yaml(text: str) -> Config:
    """Return the configuration that `to_yaml` wrote."""
    from omegaconf import OmegaConf

    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(text)))
    assert isinstance(config, Config)
    return config


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Return the configuration with some keys set, types checked.

    Raises:
        ConfigError: A key does not exist or a value has the wrong type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    node = OmegaConf.structured(config)
    for key, value in values.items():
        try:
            OmegaConf.update(node, key, value, force_add=False)
        except (OmegaConfBaseException, AssertionError) as error:
            why = str(error).splitlines()[0]
            raise ConfigError(
                _unknown_key(key) if "not in" in why else f"{key}={value} is not allowed: {why}."
            ) from error
    changed = OmegaConf.to_object(node)
    assert isinstance(changed, Config)
    return changed
