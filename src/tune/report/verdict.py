"""The end of a study: what its best trials scored on the test split, and what may be said."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune.track.finals import FORMS, FinalRecord, FormRecord
from tune.track.records import StudyRecord

_STYLE = {"SHIP": "bold green", "NO": "bold red", "INSUFFICIENT": "bold yellow"}
_SHOWN = (
    ("task change", "task/score_delta"),
    ("probe change", "general/probe/delta"),
    ("probe log-prob", "general/probe/logprob_delta"),
    ("MMLU change", "mmlu/delta"),
    ("MMLU log-prob", "mmlu/logprob_delta"),
    ("general perplexity", "perplexity/general_delta"),
)


_PROMPTS = (
    ("prompts/refusal", "refusals"),
    ("prompts/jailbreak_refusal", "jailbreaks refused"),
    ("prompts/empty", "empty"),
    ("prompts/repetition", "loops"),
    ("prompts/words", "words"),
)


def print_verdict(study: StudyRecord, console: Console) -> None:
    """Print the finals and the verdict; nothing before a study has them."""
    if study.finals:
        _print_finals(study, console)
    if study.verdict is None:
        if study.done >= study.n_trials and study.ranked():
            console.print(f"\nNo verdict: {_unscored(study)}. python -m tune finals {study.name} does it.")
        return
    about = "" if study.verdict.trial is None else f"  trial {study.verdict.trial}"
    print_word(study.verdict.verdict, about, study.verdict.reasons, console)
    for sentence in study.verdict.enough:
        console.print(f"enough: {sentence}", soft_wrap=True)


def _unscored(study: StudyRecord) -> str:
    if not study.finals:
        return "nothing was scored on the test split"
    left = len(study.finalists) - len(study.finals)
    if left:
        return f"{left} of {len(study.finalists)} finalists are not scored on the test split yet"
    return "the study went on after its last one"


def print_word(word: str, about: str, reasons: Sequence[str], console: Console) -> None:
    """Print a verdict and its reasons."""
    console.print(Text.assemble("\nverdict: ", (word, _STYLE[word]), about))
    for reason in reasons:
        console.print(f"  {reason}", soft_wrap=True)


def _print_finals(study: StudyRecord, console: Console) -> None:
    forms = [form for final in study.finals for form in final.forms.values()]
    n = max(final.n_examples for final in study.finals)
    percent = round(study.confidence * 100)
    what = f": {n} examples that nothing was chosen by, changes with {percent} % intervals" if forms else ""
    console.print(f"\nThe best on the test split{what}")
    shown = [(head, metric) for head, metric in _SHOWN if any(metric in form.metrics for form in forms)]
    guards = [guard.metric for guard in study.guards if guard.metric not in {metric for _, metric in shown}]
    columns = [*shown, *((metric, metric) for metric in guards)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("trial", "form", "task/score", *(head for head, _ in columns), "verdict"):
        table.add_column(head, no_wrap=True)
    for final in study.finals:
        for row in _rows(final, [metric for _, metric in columns]):
            table.add_row(*row)
    if forms:
        console.print(table)
    for final in study.finals:
        for line in _notes(final):
            console.print(line, soft_wrap=True)


def _rows(final: FinalRecord, changes: Sequence[str]) -> Iterator[list[str]]:
    for name in FORMS:
        if form := final.forms.get(name):
            cells = [_change(form, metric) for metric in changes]
            yield [str(final.trial), name, f"{form.metrics['task/score']:.3f}", *cells, form.verdict]


def _notes(final: FinalRecord) -> Iterator[str]:
    if final.note:
        yield f"trial {final.trial}: {final.note}"
    rates = [_rate(final.decisive, name, word) for name, word in _PROMPTS] if final.decisive else []
    if said := ", ".join(filter(None, rates)):
        yield (f"trial {final.trial} on fixed prompts, base → merged: {said} (python -m tune replies shows them)")
    if final.failure:
        yield f"trial {final.trial} could not be scored on the test split: {final.failure}"


def _rate(form: FormRecord, name: str, word: str) -> str:
    if name not in form.metrics:
        return ""
    base, served = form.metrics[f"{name}_base"], form.metrics[name]
    digits = 0 if name == "prompts/words" else 2
    return f"{word} {base:.{digits}f} → {served:.{digits}f}"


def _change(form: FormRecord, metric: str) -> str:
    if metric not in form.metrics:
        return ""
    text = f"{form.metrics[metric]:+.3f}"
    low, high = form.metrics.get(f"{metric}_low"), form.metrics.get(f"{metric}_high")
    return text if low is None or high is None else f"{text} [{low:+.3f}, {high:+.3f}]"
