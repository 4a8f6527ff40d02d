"""Replies judged by a language model: asked, kept beside the trial's other files, and printed."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tune.config.schema import Config, ReportFormat
from tune.evaluate.judge.replies import Asked, Judgement, judge_replies
from tune.evaluate.judge.summary import sentences, summarize
from tune.evaluate.judge.wording import ASPECTS
from tune.files import read_json, write_json
from tune.track.sides_record import SidesRecord

JUDGE = "judge.json"


def judge_trials(trials: Sequence[SidesRecord], config: Config, console: Console) -> bool:
    """Judge each trial beside its base, keep and print what came of it; return whether anything was judged.

    Raises:
        EvaluationError: The key cannot be sent in secret.
    """
    judged = [(sides, _judge(sides, config)) for sides in trials]
    plain = [_keep(sides, judgement) for sides, judgement in judged]
    if config.report.format is ReportFormat.json:
        print(json.dumps(plain, indent=2))  # noqa: T201 - standard output is the interface
    else:
        _print(judged, console)
    return any(judgement.is_heard for _, judgement in judged)


def _judge(sides: SidesRecord, config: Config) -> Judgement:
    asked = [Asked(id=one.id, question=one.question, answer=one.answer) for one in sides.asked]
    base, tuned = [one.other for one in sides.asked], [one.reply for one in sides.asked]
    with Console(stderr=True, highlight=False, markup=False).status(f"judging trial {sides.trial}") as status:
        return judge_replies(
            asked,
            base,
            tuned,
            config.evaluate.judge,
            lambda done, total: status.update(f"judging trial {sides.trial}: {done} of {total} answers"),
        )


def _keep(sides: SidesRecord, judgement: Judgement) -> dict[str, Any]:
    about = {name: getattr(sides, name) for name in ("study", "trial", "form", "split", "confidence")}
    plain = about | {"metrics": summarize(judgement, sides.confidence)} | judgement.to_json()
    # Beside what other models said, and of the other form; the same judge replaces its own, unless it is down.
    file, name = sides.trial_folder / JUDGE, f"{judgement.model} {sides.form}"
    before = read_json(file) or {}
    if judgement.is_heard or name not in before:
        write_json(file, before | {name: plain})
    return plain


def _print(judged: Sequence[tuple[SidesRecord, Judgement]], console: Console) -> None:
    if any(sides.split != "test" for sides, _ in judged):
        console.print(
            "The finals have not been run, so these are validation replies. The search has seen those examples: the "
            "best of many trials looks better on them than it is.",
            soft_wrap=True,
        )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("trial", "split", "judged", *ASPECTS, "wins", "losses", "ties", "win rate", "missing"):
        table.add_column(head, justify="left" if head in {"trial", "split"} else "right", no_wrap=True)
    for sides, judgement in judged:
        table.add_row(*_row(sides, judgement))
    console.print(table)
    for sides, judgement in judged:
        console.print()
        for sentence in sentences(judgement, sides.confidence, tuned=f"trial {sides.trial}"):
            console.print(sentence, soft_wrap=True)
        what = "Kept in" if judgement.is_heard else "Nothing was answered; what was judged before stays in"
        console.print(f"{what} {sides.trial_folder / JUDGE}", soft_wrap=True)


def _row(sides: SidesRecord, judgement: Judgement) -> list[str]:
    metrics = summarize(judgement, sides.confidence)
    counts = [f"{metrics[f'judge/{name}']:.0f}" for name in ("wins", "losses", "ties")]
    rate = metrics.get("judge/win_rate")
    changes = [metrics.get(f"judge/{aspect}_delta") for aspect in ASPECTS]
    return [
        str(sides.trial) if sides.form == "adapter" else f"{sides.trial} ({sides.form})",
        sides.split,
        str(len(judgement.pairs)),
        *("" if change is None else f"{change:+.2f}" for change in changes),
        *counts,
        "" if rate is None else f"{rate:.3f}",
        str(judgement.n_missing),
    ]
