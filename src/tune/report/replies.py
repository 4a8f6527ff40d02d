"""What base and adapted model said, side by side, with what changed; the most changed first."""

import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune.config.replies import RepliesConfig
from tune.evaluate.prompts import JAILBREAK
from tune.report.data import visible
from tune.trial.said import TASK, Pair, Replies, Reply

_FLAGS = ("refused", "empty", "loop")
_ASKED = 300
"""Characters of a question that are shown."""

_MEANING = (
    "Replies by kind, base → adapted. Refused, empty and loop are told by rules that read the text; words are their "
    f"mean; same are equal word for word. A refusal is wanted of {JAILBREAK} alone."
)

_INVISIBLE = re.compile("[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What a terminal would not show, or would turn the whole line round by; a reply may hold it."""


def print_replies(title: str, replies: Replies, chosen: RepliesConfig, console: Console) -> None:
    """Print how many replies are of which kind, then pairs of them.

    Args:
        title: The trial, in words.
        replies: What was said.
        chosen: Which are shown, and how much of each.
        console: Where to; 80 columns are enough.
    """
    console.print(Text.assemble((title, "bold"), "  base and adapted model, asked the same"), soft_wrap=True)
    pairs = [pair for pair in replies.pairs if chosen.kind in {None, pair.kind}]
    if not pairs:
        kinds = sorted({pair.kind for pair in replies.pairs})
        console.print(f"nothing of replies.kind={chosen.kind}; there is: {', '.join(kinds)}", soft_wrap=True)
        return
    _print_rates(pairs, replies.split, console)
    for is_task in (False, True):
        of_them = [pair for pair in pairs if (pair.kind == TASK) is is_task]
        for pair in of_them[: chosen.most]:
            _print_pair(pair, chosen.lines, console)
        if of_them:
            _print_rest(of_them, chosen.most, "task examples" if is_task else "prompts", console)


def _print_rates(pairs: Sequence[Pair], split: str, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("kind")
    for head in ("n", *_FLAGS, "words", "same"):
        table.add_column(head, justify="right", no_wrap=True)
    for kind in sorted({pair.kind for pair in pairs}, key=lambda kind: (kind == TASK, kind == JAILBREAK, kind)):
        own = [pair for pair in pairs if pair.kind == kind]
        counts = [_moved(*(sum(flag in side.flags for side in _side(own, at)) for at in (0, 1))) for flag in _FLAGS]
        words = [sum(len(side.text.split()) for side in _side(own, at)) / len(own) for at in (0, 1)]
        same = sum(pair.base.text == pair.adapted.text for pair in own)
        name = f"{TASK} ({split})" if kind == TASK else visible(kind)
        table.add_row(name, str(len(own)), *counts, f"{words[0]:.0f} → {words[1]:.0f}", str(same))
    console.print(table)
    console.print(Text(_MEANING, "dim"))


def _side(pairs: Sequence[Pair], at: int) -> list[Reply]:
    return [(pair.base, pair.adapted)[at] for pair in pairs]


def _moved(before: int, after: int) -> Text:
    return Text(f"{before} → {after}", "" if before == after else "bold")


def _print_pair(pair: Pair, n_lines: int, console: Console) -> None:
    changes = [f"{metric} {_score(before, after)}" for metric, before, after in pair.moved()]
    changes += [f"{pair.distance:.0%} of the text changed" if pair.distance else "the same text"]
    console.print()
    console.print(Text.assemble((_plain(pair.id), "bold cyan"), f"  {', '.join(changes)}"), soft_wrap=True)
    console.print(_fields([("asked", _short(pair.asked)), ("right", pair.wanted and _short(pair.wanted))]))
    table = Table(box=None, pad_edge=False, header_style="bold", width=console.width)
    for head, reply in (("base", pair.base), ("adapted", pair.adapted)):
        flags = f"  [{', '.join(reply.flags)}]" if reply.flags else ""
        table.add_column(Text(f"{head}{flags}"), ratio=1, overflow="fold")
    table.add_row(*(_cut(reply.text, n_lines, console) for reply in (pair.base, pair.adapted)))
    console.print(table)


def _score(before: float, after: float) -> str:
    return f"{before:g}" if before == after else f"{before:g} → {after:g}"


def _fields(named: Sequence[tuple[str, str | None]]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in named:
        if text is not None:
            table.add_row(Text(name), Text(text or "(nothing)"))
    return table


def _cut(text: str, n_lines: int, console: Console) -> Text:
    """Return the first lines of a reply as they stand in half of the width."""
    if not text.strip():
        return Text("(nothing)", "dim")
    lines = Text(_plain(text, keep_lines=True)).wrap(console, (console.width - 1) // 2, overflow="fold")
    shown = [line.plain.rstrip() for line in lines[:n_lines]]
    more = len(lines) - len(shown)
    return Text("\n".join([*shown, *([f"… {more} more lines"] if more else [])]))


def _short(text: str) -> str:
    """Return a question on one line; of a long one its beginning and its end."""
    line = " ".join(_plain(text).split())
    if len(line) <= _ASKED:
        return line
    half = _ASKED // 2
    return f"{line[:half]} … {line[-half:]} ({len(text.split())} words)"


def _plain(text: str, *, keep_lines: bool = False) -> str:
    """Return a text that a terminal shows as it is."""
    text = text if keep_lines else " ".join(text.split())
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", visible(text))


def _print_rest(pairs: Sequence[Pair], most: int | None, what: str, console: Console) -> None:
    n_left = len(pairs) - len(pairs[:most])
    n_same = sum(pair.base.text == pair.adapted.text for pair in pairs[len(pairs) - n_left :])
    if n_left:
        line = f"\n{n_left} more {what}, {n_same} of them with the same reply from both: replies.most=null shows all"
        console.print(line, soft_wrap=True)
