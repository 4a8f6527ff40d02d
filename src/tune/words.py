"""A command line taken apart: a command, what it works on, and Hydra's overrides."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tune.errors import ConfigError, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """A command line taken apart."""

    command: str
    """`run` when no command was named."""

    names: tuple[str, ...]
    overrides: tuple[str, ...]
    config_dir: Path | None


def read_words(arguments: Sequence[str], commands: Collection[str]) -> Words:
    """Take a command line apart: a command, what it works on, and Hydra overrides.

    Raises:
        ConfigError: A word is no command and no override.
    """
    rest, config_dir = list(arguments), None
    for index, word in enumerate(arguments):
        if word == "--config-dir" or word.startswith("--config-dir="):
            value = word.partition("=")[2] or (arguments[index + 1] if index + 1 < len(arguments) else "")
            if not Path(value).is_dir() or not value:
                msg = f"--config-dir {value} is no folder. Give the folder that holds your config groups."
                raise ConfigError(msg)
            config_dir = Path(value)
            del rest[index : index + (1 if "=" in word else 2)]
            break
    n_names = next((i for i, word in enumerate(rest) if "=" in word or word.startswith("~")), len(rest))
    command, *names = rest[:n_names] or ["run"]
    if command not in commands:
        msg = f"{command} is no command. {nearest(command, commands)} Overrides are written key=value."
        raise ConfigError(msg)
    strays = [word for word in rest[n_names:] if "=" not in word and not word.startswith("~")]
    if strays:
        msg = f"{' '.join(strays)} stands after the overrides and is none itself. Write key=value, and names first."
        raise ConfigError(msg)
    return Words(command=command, names=tuple(names), overrides=tuple(rest[n_names:]), config_dir=config_dir)


def no_names(words: Words) -> None:
    """Refuse names after a command that takes none.

    Raises:
        ConfigError: There is one.
    """
    if words.names:
        msg = f"{' '.join(words.names)}: {words.command} takes no name. Overrides are written key=value."
        raise ConfigError(msg)


def name_and_files(words: Words) -> tuple[str, list[Path]]:
    """Return the study that the command is about, and the files that follow it.

    Raises:
        ConfigError: No study or no file is named.
    """
    if len(words.names) < 2:  # noqa: PLR2004
        msg = (
            f"{words.command} needs the name of one study and then files: python -m tune {words.command} NAME FILE "
            "[FILE …]. A file's path may hold no =, which makes an override of it."
        )
        raise ConfigError(msg)
    name, *files = words.names
    return name, [Path(file) for file in files]


def one_name(words: Words) -> str:
    """Return the one study that the command is about.

    Raises:
        ConfigError: None is named, or several are.
    """
    if len(words.names) != 1:
        msg = f"{words.command} needs the name of one study: python -m tune {words.command} NAME."
        raise ConfigError(msg)
    return words.names[0]
