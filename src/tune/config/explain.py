"""What was wrong with an override, in one paragraph, from what Hydra and OmegaConf say of it."""

import re
from collections.abc import Sequence
from dataclasses import fields

from tune import paths
from tune.config.leaves import leaves
from tune.config.schema import Config, SweepConfig
from tune.errors import nearest

ASIDE = ("workers.", "track.", "report.", "replies.", "plan.", "doctor.", "clean.", "sheet.", "evaluate.judge.")
"""How the keys begin that say nothing about a trial nor about the search for one."""

NO_TRIAL = ("sweep", "study.", *ASIDE)
"""How the keys begin that say nothing about a trial."""


def sweep_names() -> list[str]:
    """Return the names of the sweeps that come with tune."""
    return sorted(file.stem for file in paths.sweeps_dir().glob("*.yaml"))


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """Return one paragraph: what was given, what is wrong with it, what there is."""
    text = str(error)
    cause = str(error.__cause__ or "").splitlines()[0] if error.__cause__ and str(error.__cause__) else ""
    if found := re.search(r"Could not (?:find|load) '([^']+)'", text):
        return _unknown_option(found.group(1), text)
    if key := _missing_key(text, overrides):
        return unknown_key(key, overrides)
    if found := re.search(r"Error merging override (.+)", text):
        why = cause or text.splitlines()[-1]
        return f"{found.group(1).splitlines()[0]} is not allowed: {why}.{_meant(why)}"
    if "no viable alternative" in text or "Lexer" in text or "mismatched" in text or "extraneous" in text:
        near = next((o for o in overrides if o in text), " ".join(overrides))
        return (
            f"the override {near} cannot be read: {text.splitlines()[0]}. Write key=value without spaces around =, "
            "and quote values with special characters twice, for example \"data.path='my file.jsonl'\"."
        )
    return " ".join(f"{text} {cause}".split())


def _meant(why: str) -> str:
    """Return the nearest of the words that are allowed, where one is near."""
    found = re.search(r"Invalid value '([^']+)', expected one of \[([^\]]+)\]", why)
    near = nearest(found.group(1), found.group(2).split(", ")) if found else ""
    return f" {near}" if near.startswith("Did") else ""


def _missing_key(text: str, overrides: Sequence[str]) -> str | None:
    if found := re.search(r"Could not override '([^']+)'", text):
        return found.group(1).lstrip("+~")
    found = re.search(r"has no attribute '([^']+)'", text)
    # The other is what a key of a sweep comes to where there is none.
    named = found.group(1) if found else "sweep" if "Unexpected type for root: NoneType" in text else None
    return named and next((o.lstrip("+").split("=")[0] for o in overrides if named in o), named)


def _unknown_option(name: str, text: str) -> str:
    group, _, option = name.rpartition("/")
    there = re.search(r"Available options in '[^']+':\n((?:\t.+\n)+)", text)
    options = there.group(1).split() if there else _options(group)
    if not options:
        return f"the config group {group or name} does not exist. {nearest(group or name, _groups())}"
    given = f"+sweep={option}" if group == "sweep" else f"{group}={option}"
    return f"{given}: there is no {group} called {option}. {nearest(option, options)}"


def unknown_key(key: str, overrides: Sequence[str] = ()) -> str:
    """Return that a key does not exist, and which do."""
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


def trial_groups() -> list[str]:
    """Return the config groups that a trial is made of."""
    return [group for group in _groups() if not f"{group}.".startswith(NO_TRIAL)]


def _options(group: str) -> list[str]:
    return sweep_names() if group == "sweep" else sorted(f.stem for f in (paths.conf_dir() / group).glob("*.yaml"))
