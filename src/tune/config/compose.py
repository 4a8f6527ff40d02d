"""From overrides to one checked `Config`: Hydra composes, the schema checks types, and errors become one paragraph."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from tune import paths
from tune.config.explain import NO_TRIAL, explain, sweep_names, trial_groups, unknown_key
from tune.config.foreign import check_content, check_permissions, check_words
from tune.config.leaves import leaves, plain
from tune.config.options import resolve, searched_options
from tune.config.schema import Config
from tune.errors import ConfigError

__all__ = ["compose", "difference", "from_yaml", "leaves", "sweep_names", "to_yaml", "value_at", "with_values"]


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
    if config.sweep and (searched := searched_options(config.sweep.space, trial_groups())):
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
        raise ConfigError(explain(error, overrides)) from error
    assert isinstance(config, Config)
    permissions = {
        "model.code_from": config.model.code_from,
        "evaluate.tasks_dir": config.evaluate.tasks_dir,
        "evaluate.metric": config.evaluate.metric,
    }
    check_permissions(permissions, overrides)
    return config


def to_yaml(config: Config) -> str:
    """Return the whole configuration as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.structured(config))


def value_at(config: Config, key: str) -> Any:
    """Return the value of one dotted key of a trial, in plain data.

    Raises:
        ConfigError: It does not exist, is a whole group, or says nothing about a trial.
    """
    if key.startswith(NO_TRIAL):
        msg = f"{key} says nothing about a trial: name a key of {', '.join(trial_groups())}, or seed."
        raise ConfigError(msg)
    value: Any = config
    for part in key.split("."):
        if not is_dataclass(value) or part not in {field.name for field in fields(value)}:
            raise ConfigError(unknown_key(key))
        value = getattr(value, part)
    if is_dataclass(value):
        msg = f"{key} is a whole group, and not searched by its options here: name a key of it, as in {key}.KEY."
        raise ConfigError(msg)
    return plain(value)


def difference(config: Config) -> list[str]:
    """Return the overrides that make this trial out of the default configuration; the sweep itself is left out."""
    default = _default_leaves()
    return [f"{key}={_value(value)}" for key, value in _trial_leaves(config).items() if default.get(key) != value]


def _trial_leaves(config: Config) -> dict[str, Any]:
    return {key: value for key, value in leaves(config).items() if not key.startswith(NO_TRIAL)}


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
    # To Hydra a backslash is one, except before a quote.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text) + "'"


@lru_cache(maxsize=8)  # a supervisor asks for its study's twice a second, and reading it takes a tenth of one
def from_yaml(text: str) -> Config:
    """Return the configuration that `to_yaml` wrote; it is shared, as a configuration is never assigned to."""
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
                unknown_key(key) if "not in" in why else f"{key}={value} is not allowed: {why}."
            ) from error
    changed = OmegaConf.to_object(node)
    assert isinstance(changed, Config)
    return changed
