"""What evaluate.tasks asks for: groups and tags taken apart, and the one score by which each task is judged."""

import difflib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tune.config.task_index import Function, Index, Kind, builtin_folder, read_definition, task_index
from tune.errors import ConfigError

Definition = Mapping[str, Any]

_DEFAULT_METRICS = {"multiple_choice": "acc", "loglikelihood": "acc", "generate_until": "exact_match"}
"""What lm-eval takes where a task lists none; of several the one that is a mean over the items."""

_NOT_MEANS = {
    *("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "mcc", "f1"),
    *("bleu", "chrf", "chrf++", "ter", "bypass"),
}
"""Metrics whose mean over the items is not what lm-eval reports of them, unless a task says so."""

_GROUPS_OWN = {"group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag"}


@dataclass(frozen=True, slots=True)
class ChosenTask:
    """A task of lm-eval that is scored."""

    name: str

    metric: str
    """Its main metric: the first of its list that is a mean over the items."""

    filter: str
    """Which of its filters makes the answer of a reply: the first."""

    asked_as: str
    """The name in evaluate.tasks that it came by: its own, a group's or a tag's."""

    folders: tuple[Path, ...]
    """Where its file is, and those of the groups that lead to it."""


@functools.cache
def chosen_tasks(names: tuple[str, ...], own: str | None) -> tuple[ChosenTask, ...]:
    """Return the tasks that names stand for, in their order.

    Args:
        names: evaluate.tasks.
        own: evaluate.tasks_dir.

    Raises:
        ConfigError: The folder is missing; there is no such task; it cannot be scored item by item; or one comes twice.
    """
    if own is not None and not Path(own).expanduser().is_dir():
        msg = (
            f"evaluate.tasks_dir={own} is no folder: name one that holds YAML files of lm-eval tasks, or leave it out."
        )
        raise ConfigError(msg)
    if not names:
        return ()
    index = task_index(own)
    found: dict[str, ChosenTask] = {}
    for asked in names:
        if asked not in index:
            raise ConfigError(_unknown(asked, index, own))
        try:
            leaves = list(_leaves(asked, index, {}, ()))
        except (yaml.YAMLError, OSError, KeyError) as error:
            msg = f"evaluate.tasks: the files of {asked} cannot be read: {' '.join(str(error).split())}. Mend them."
            raise ConfigError(msg) from error
        for name, definition, folders in leaves:
            if name in found:
                msg = (
                    f"evaluate.tasks has the task {name} twice, by {found[name].asked_as} and by {asked}: take one of "
                    "the two out."
                )
                raise ConfigError(msg)
            metric = _main_metric(name, definition)
            found[name] = ChosenTask(name, metric, _main_filter(definition), asked, folders)
    return tuple(found.values())


Leaf = tuple[str, Definition, tuple[Path, ...]]


def _leaves(name: str, index: Index, above: Definition, folders: tuple[Path, ...]) -> Iterator[Leaf]:
    """Yield each task below a name with what defines it; what a group says of its tasks stands above their own."""
    entry = index[name]
    if entry.kind is Kind.tag:
        for member in entry.members:
            yield from _leaves(member, index, above, folders)
        return
    assert entry.file is not None
    definition, folders = read_definition(entry.file), (*folders, entry.file.parent)
    if entry.kind is Kind.group:
        yield from _members(name, {**definition, **above}, index, folders)
    else:
        yield name, {**definition, **above}, folders


def _members(group: str, definition: Definition, index: Index, folders: tuple[Path, ...]) -> Iterator[Leaf]:
    """Yield the tasks of a group; its members are names, or names with settings of their own."""
    settings = {key: value for key, value in definition.items() if key not in _GROUPS_OWN}
    members = definition["task"]
    for member in members if isinstance(members, list) else [members]:
        own = {"task": member} if isinstance(member, str) else member
        name = own.get("group") or own["task"]
        more = {**settings, **{key: value for key, value in own.items() if key not in {"task", "group"}}}
        if name in index:
            yield from _leaves(name, index, more, folders)
        elif "group" in own:
            yield from _members(f"{group}::{name}", {**settings, **own}, index, folders)
        else:
            yield f"{group}::{name}", more, folders


def _main_metric(name: str, definition: Definition) -> str:
    """Return by which metric a task is judged.

    Raises:
        ConfigError: It has none that is a mean over the items, or needs what this evaluation has not.
    """
    kind = definition.get("output_type", "generate_until")
    needs = {"doc_to_image": "images", "doc_to_audio": "sound"}
    lacks = [what for key, what in needs.items() if definition.get(key) is not None]
    if lacks or "class" in definition or definition.get("unsafe_code"):
        why = (
            f"needs {lacks[0]}, which these models do not read"
            if lacks
            else "is a Python class of its own, which cannot be scored item by item"
            if "class" in definition
            else "runs code that the model wrote, with nothing around it"
        )
        msg = f"evaluate.tasks: {name} {why}. Leave it out."
        raise ConfigError(msg)
    listed = definition.get("metric_list")
    if listed is None:
        metric = _DEFAULT_METRICS.get(kind)
    else:
        metric = next((_name(one["metric"]) for one in listed if _is_mean(one)), None)
    if kind not in _DEFAULT_METRICS or metric is None:
        instead = "; evaluate.corpus=FILE measures perplexity" if kind == "loglikelihood_rolling" else ""
        msg = (
            f"evaluate.tasks: {name} ({kind}) has no metric that is a mean over its items, so base and adapter cannot "
            f"be compared item by item. Leave it out{instead}."
        )
        raise ConfigError(msg)
    return metric


def _is_mean(metric: Mapping[str, Any]) -> bool:
    """Return whether an entry of a task's metric_list is a mean over the items."""
    how = metric.get("aggregation")
    return how == "mean" or (how is None and _name(metric["metric"]) not in _NOT_MEANS)


def _name(metric: str) -> str:
    return metric.rpartition(".")[2] if isinstance(metric, Function) else metric


def _main_filter(definition: Definition) -> str:
    filters = definition.get("filter_list")
    return str(filters[0]["name"]) if filters else "none"


def _unknown(name: str, index: Index, own: str | None) -> str:
    close = difflib.get_close_matches(name, index, n=3, cutoff=0.6)
    where = f" and {own}" if own else ""
    nearest = f"Did you mean {' or '.join(close)}?" if close else f"lm-eval has {len(index)}, in {builtin_folder()}."
    return f"evaluate.tasks={name} is no task, group or tag of lm-eval{where}. {nearest}"
