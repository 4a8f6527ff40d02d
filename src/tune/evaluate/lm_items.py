"""The items of lm-eval's tasks, chosen and written out as requests before a model is loaded.

The tasks' data are fetched here, once, and not in a trial. lm-eval's own definitions make the prompts, with the few
solved examples that a task shows by itself; no chat template is put around them, as with MMLU.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune.config.lm_tasks import ChosenTask, chosen_tasks
from tune.errors import EvaluationError
from tune.evaluate.reader import no_bars, quiet, templates_compiled_once

_SHOTS_SEED = 1234  # lm-eval's own, so that the examples shown first are those of its command line
_LEAST = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class LmTask:
    """A task of lm-eval with the items that every model of a study is asked."""

    name: str

    metric: str
    """By which it is judged; its mean over the items is lm-eval's figure."""

    filter: str
    """Which of the task's filters makes the answer of a reply."""

    ids: tuple[str, ...]
    """(N,) task and place in its data, for example hellaswag/17."""

    asked: tuple[str, ...]
    """What every item of the task asks, drawn or not, for finding it in training rows: finalists may be asked all."""

    texts: tuple[str, ...]
    """The same with its choices, where it has some."""

    requests: tuple[tuple[Any, ...], ...]
    """(N, …) lm-eval's requests of each item; the models' answers are never written into them."""

    digest: str
    """SHA-256 of the requests, their right answers, the task's definition and lm-eval's version, for fingerprints."""

    definition: Any
    """lm-eval's own task, which scores the answers."""

    @property
    def writes(self) -> bool:
        """Return whether the models write replies; else they rate given ones."""
        return bool(self.definition.OUTPUT_TYPE == "generate_until")

    def some(self, n: int) -> "LmTask":
        """Return about n of the items, from one end to the other; not to be compared with the whole."""
        step = -(-len(self.ids) // n)
        return replace(self, ids=self.ids[::step], requests=self.requests[::step], digest="")


def read_lm_tasks(
    names: Sequence[str],
    *,
    own: str | None,
    limit: int | None,
    seed: int,
    on_task: Callable[[str], None] | None = None,
) -> tuple[LmTask, ...]:
    """Return tasks with their items, in the order of the names.

    Args:
        names: evaluate.tasks; groups and tags stand for their tasks.
        own: evaluate.tasks_dir.
        limit: Most items of each task, drawn by lot; None for all.
        seed: Draws them.
        on_task: Is told the name of each task before its data are read.

    Raises:
        ConfigError: There is no such task, or it cannot be scored item by item.
        EvaluationError: Its data cannot be had, or are fewer than two items.
    """
    chosen = chosen_tasks(tuple(names), own)
    if not chosen:
        return ()
    with quiet(), no_bars(), templates_compiled_once():
        code = _code(own)
        return tuple(_task(one, definition, limit, seed, code) for one, definition in _load(chosen, own, on_task))


def _load(
    chosen: Sequence[ChosenTask], own: str | None, on_task: Callable[[str], None] | None
) -> list[tuple[ChosenTask, Any]]:
    """Return each task with lm-eval's definition of it, its data loaded."""
    from lm_eval.tasks import TaskManager

    folders = list(dict.fromkeys(folder for one in chosen for folder in one.folders))
    manager = TaskManager(include_defaults=False, include_path=[*folders, *([own] if own else [])])
    loaded: dict[str, Any] = {}
    for asked in dict.fromkeys(one.asked_as for one in chosen):
        if on_task:
            on_task(asked)
        try:
            loaded |= manager.load([asked])["tasks"]
        except Exception as error:  # datasets, its hub client, httpx and lm-eval itself share no kind of error
            msg = (
                f"evaluate.tasks: the data or the definition of {asked} cannot be read: "
                f"{' '.join(str(error).split())}. What comes from the hub is fetched once and kept, so run "
                f"`python -m tune data evaluate.tasks=[{asked}]` where there is a network; or leave {asked} out."
            )
            raise EvaluationError(msg) from error
    return [(one, loaded[one.name]) for one in chosen]


def _code(own: str | None) -> list[str]:
    """Return the Python files of a folder of tasks, any of which may decide how they are asked and scored."""
    files = sorted(Path(own).expanduser().rglob("*.py")) if own else []
    return [file.read_text(encoding="utf-8", errors="replace") for file in files]


def _task(chosen: ChosenTask, definition: Any, limit: int | None, seed: int, code: Sequence[str]) -> LmTask:
    docs = definition.eval_docs
    places = _draw(chosen.name, len(docs), limit, seed)
    if len(places) < _LEAST:
        msg = (
            f"evaluate.tasks: {chosen.name} has {len(places)} item(s), and one says nothing about its spread: take a "
            "task of two or more."
        )
        raise EvaluationError(msg)
    definition.set_fewshot_seed(seed=_SHOTS_SEED)
    asked = [docs[place] for place in places]
    requests = tuple(tuple(_requests(definition, doc, place)) for doc, place in zip(asked, places, strict=True))
    return LmTask(
        name=chosen.name,
        metric=chosen.metric,
        filter=chosen.filter,
        ids=tuple(f"{chosen.name}/{place}" for place in places),
        asked=tuple(_asked(definition, doc) for doc in docs),
        texts=tuple(_text(definition, doc) for doc in docs),
        requests=requests,
        digest=_digest(chosen, requests, definition, code),
        definition=definition,
    )


def _draw(name: str, n: int, limit: int | None, seed: int) -> list[int]:
    """Return places of the chosen items in rising order; a larger limit only adds to a smaller one."""
    lots = sorted(range(n), key=lambda place: hashlib.sha256(json.dumps([seed, name, place]).encode()).digest())
    return sorted(lots[:limit])


def _requests(definition: Any, doc: Any, place: int) -> list[Any]:
    shots = definition.config.num_fewshot or 0
    prompt = definition.fewshot_context(doc, num_fewshot=shots, gen_prefix=definition.doc_to_prefix(doc))
    metadata = (definition.config.task, place, definition.config.repeats)
    made = definition.construct_requests(doc=doc, ctx=prompt, metadata=metadata)
    return made if isinstance(made, list) else [made]


def _asked(definition: Any, doc: Any) -> str:
    asked = definition.doc_to_text(doc)
    return asked if isinstance(asked, str) else ""


def _text(definition: Any, doc: Any) -> str:
    choices = definition.doc_to_choice(doc) if definition.config.doc_to_choice is not None else []
    return " ".join([_asked(definition, doc), *map(str, choices)]).strip()


def _digest(chosen: ChosenTask, requests: Sequence[Sequence[Any]], definition: Any, code: Sequence[str]) -> str:
    asked = [[[request.args, request.doc] for request in of_item] for of_item in requests]
    settings = definition.config.to_dict()  # functions as their source
    about = [chosen.name, chosen.metric, chosen.filter, settings, code]
    content = [importlib.metadata.version("lm_eval"), *about, asked]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
