"""What votes say, as people read it."""

from rich.console import Console
from rich.table import Table

from tune.report.sheet.key import Key
from tune.report.votes.count import Counted, Result, Tally, questions_needed


def print_counted(counted: Counted, key: Key, console: Console) -> None:
    """Print a rater a row, the questions together, and what can be concluded."""
    form = "" if key.form == "adapter" else f" ({key.form})"
    console.print(f"{key.study}: trial {key.trial}{form} beside {key.other}, {key.split} questions, sheet {key.sheet}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rater", overflow="fold")
    for head in ("voted", "wins", "losses", "ties", "both bad", "took A"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in counted.raters:
        tally, sides = one.tally, one.left + one.right
        voted = f"{tally.n} of {counted.n_shown}"
        table.add_row(one.rater, voted, *_cells(tally), f"{one.left} of {sides}" if sides else "")
    if len(counted.raters) > 1:
        together = counted.questions
        table.add_row("together", f"{together.n} of {counted.n_shown}", *_cells(together), "", style="bold")
    console.print(table)
    for line in lines(counted, key):
        console.print(line, soft_wrap=True)


def lines(counted: Counted, key: Key) -> list[str]:
    """Return what stands below the table, a sentence a line."""
    said = []
    if key.same:
        said.append(f"{len(key.same)} of {key.n_all} pairs of replies are identical: they were not shown and are ties.")
    left = counted.n_shown - counted.questions.n
    if left:
        said.append(f"{left} of {counted.n_shown} questions on the sheet have no vote and are not counted.")
    if counted.rate is not None:
        percent = round(key.confidence * 100)
        said.append(
            f"win rate {counted.rate:.3f}, {percent} % [{counted.low:.3f}, {counted.high:.3f}], of the "
            f"{counted.questions.decided} questions where one was preferred; sign test p = {_p(counted.p)}"
        )
    if counted.shares:
        shares = counted.shares
        said.append(
            f"of all {key.n_all} questions: better on {shares[Result.win]:.0%}, worse on {shares[Result.loss]:.0%}, "
            f"as good on {shares[Result.tie]:.0%}, both bad on {shares[Result.both_bad]:.0%}"
        )
    return [*said, *_agreement(counted), verdict(counted, key)]


def verdict(counted: Counted, key: Key) -> str:
    """Return what can be concluded, in plain words."""
    trial, tally = f"trial {key.trial}", counted.questions
    if counted.rate is None or counted.p is None:
        return f"No vote prefers {trial} or {key.other}: nothing can be said of which is better."
    if counted.p >= 1 - key.confidence:
        return (
            f"Raters do not tell {trial} and {key.other} apart: {tally.win} wins and {tally.loss} losses are what "
            f"chance may give. {_more(counted.rate, key)}"
        )
    better, worse = (trial, key.other) if tally.win > tally.loss else (key.other, trial)
    return (
        f"Raters prefer {better} to {worse}: on {max(tally.win, tally.loss)} of the {tally.decided} questions where "
        "they prefer one, more often than chance would give."
    )


def _more(rate: float, key: Key) -> str:
    n = questions_needed(rate, confidence=key.confidence)
    if n is None:
        return "The two are so close that more votes will hardly tell."
    return f"If this win rate is the true one, {n} decided questions tell in four of five such ratings."


def _agreement(counted: Counted) -> list[str]:
    found = counted.agreement
    if found is None:
        return []
    if found.n == 0:
        return ["agreement: no question has a vote of every rater, so it is not known."]
    if found.kappa is None:
        return [f"agreement: all votes on the {found.n} shared questions are the same, so {found.name} is not defined."]
    return [f"agreement: {found.name} {found.kappa:.3f} on {found.n} shared questions (1 always agree, 0 as by chance)"]


def _cells(tally: Tally) -> list[str]:
    return [str(getattr(tally, one.name)) for one in Result]


def _p(p: float | None) -> str:
    assert p is not None  # with a win rate there is one
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"  # noqa: PLR2004
