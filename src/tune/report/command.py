"""What `python -m tune report NAME` prints, and what a study ends with."""

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tune.config.schema import Config, ReportFormat, TrackConfig
from tune.evaluate.decide import Decision
from tune.report.checkup import print_checkup
from tune.report.clean import may_free, print_freeable, print_freed
from tune.report.data import print_data
from tune.report.judge import judge_trials
from tune.report.plan import print_plan
from tune.report.replies import print_replies
from tune.report.sheet.draw import draw_sheet
from tune.report.sheet.key import find_keys, write_key
from tune.report.sheet.write import write_sheet
from tune.report.status import print_status
from tune.report.table import print_metrics, print_study
from tune.report.verdict import print_word
from tune.report.votes.count import count
from tune.report.votes.keep import keep_votes, votes_json
from tune.report.votes.read import read_ballots
from tune.report.votes.show import print_counted
from tune.track.plan_record import PlanRecord
from tune.track.records import StudyRecord
from tune.track.repeats import best_points, front_to_json
from tune.track.sides_record import SidesRecord
from tune.track.upkeep import CheckupRecord, FreeableRecord
from tune.trial.bar import Bar
from tune.trial.inspect import inspect_data
from tune.trial.said import read_replies

_REPEAT = "Repeat the best trial:"


def print_report(study: StudyRecord, form: ReportFormat) -> None:
    """Print a study to standard output."""
    if form is ReportFormat.json:
        print(json.dumps(study.to_json() | front_to_json(study), indent=2))  # noqa: T201 - standard output is the interface
        return
    print_study(study, _console())


def print_the_replies(title: str, folder: Path, config: Config) -> None:
    """Print what base and adapted model of a trial said."""
    replies = read_replies(folder)
    if config.report.format is ReportFormat.json:
        print(json.dumps({"trial": title, **replies.to_json()}, indent=2))  # noqa: T201
        return
    print_replies(title, replies, config.replies, _console(width=100))


def print_study_status(study: StudyRecord) -> None:
    """Print how far a study is."""
    print_status(study, _console())


def print_data_set(config: Config) -> None:
    """Read, clean, divide and tokenise the data of a configuration, and print what became of them."""
    with Bar() as bar:
        found = inspect_data(config, bar)
    print_data(found, config.report.format, _console())


def print_the_plan(plan: PlanRecord, form: ReportFormat) -> None:
    """Print what would be run, and what it needs."""
    print_plan(plan, form, _console())


@contextmanager
def estimating() -> Iterator[Callable[[int, int], None]]:
    """Show how many of how many estimates are done, on standard error."""
    console = Console(stderr=True, highlight=False, markup=False)
    with console.status("estimating memory") as status:
        yield lambda done, total: status.update(f"estimating memory: {done} of {total} done")


def print_findings(checkup: CheckupRecord, track: TrackConfig) -> None:
    """Print what does not agree, or that all does."""
    print_checkup(checkup, track, _console())


def confirm_freeing(study: str, found: Sequence[FreeableRecord], *, yes: bool) -> bool:
    """Print what may go, and return whether it is to go."""
    console = _console()
    print_freeable(study, found, console)
    return bool(found) and may_free(found, console, yes=yes)


def print_freeing(freed: int, kept: Sequence[str]) -> None:
    """Print what went."""
    print_freed(freed, kept, _console())


def make_sheet(sides: SidesRecord, config: Config) -> None:
    """Write a blind sheet and its key, and print where they are and what to do with them.

    Raises:
        EvaluationError: All replies are identical, or the sheet cannot be written.
    """
    sheet, key = draw_sheet(sides, config.sheet)
    folder = Path(config.sheet.folder).expanduser() if config.sheet.folder else sides.study_folder
    files = write_sheet(sheet, folder)
    kept = write_key(key, sides.trial_folder)
    where = [] if config.track.folder is None else [f"track.folder={config.track.folder}"]
    command = shlex.join(["python", "-m", "tune", "votes", sides.study, f"votes-{sheet.digest}-NAME.json", *where])
    console = _console()
    same = f"; on {len(key.same)} both replied the same, which counts as a tie and is not shown" if key.same else ""
    console.print(
        f"{sides.study}: trial {sides.trial} beside {sides.other}, {len(sheet.items)} of {len(sides.asked)} "
        f"{sides.split} questions{same}",
        soft_wrap=True,
    )
    if sides.split == "validation":
        console.print(
            "note: the search chose by these questions, so they flatter its best trial; finals ask the test split"
        )
    lines = [("For raters, either one:", " or ".join(map(str, reversed(files))))]
    lines += [("Key, not for raters:", str(kept)), ("Read their votes:", command)]
    for name, words in lines:
        console.print(f"{name:24}{words}", soft_wrap=True)


def read_votes(study_folder: Path, files: Sequence[Path], form: ReportFormat) -> None:
    """Read raters' files, keep what they say in the trial's folder, and print it.

    Raises:
        EvaluationError: Something in them is wrong.
    """
    ballots, (key, trial_folder) = read_ballots(files, find_keys(study_folder))
    counted = count(ballots, key)
    plain = votes_json(counted, ballots, key)
    kept = keep_votes(plain, key.sheet, trial_folder)
    if form is ReportFormat.json:
        print(json.dumps(plain, indent=2))  # noqa: T201 - standard output is the interface
        return
    console = _console()
    print_counted(counted, key, console)
    console.print(f"\nKept in {kept}", soft_wrap=True)


def print_judged(trials: Sequence[SidesRecord], config: Config) -> bool:
    """Ask a language model about replies and print what it says; return whether it said anything.

    Raises:
        EvaluationError: The judge's key cannot be sent in secret.
    """
    return judge_trials(trials, config, _console())


def print_end(study: StudyRecord, track: TrackConfig) -> None:
    """Print the leaderboard and what to do next."""
    console = _console()
    print_study(study, console)
    where = [] if track.folder is None else [f"track.folder={track.folder}"]
    where += [] if track.uri is None else [f"track.uri={track.uri}"]
    lines = [("Compare the runs:", shlex.join(["python", "-m", "tune", "ui", *where]))]
    best = [point.trials[0] for point in best_points(study)]
    lines += [(_REPEAT if not study.others else f"Repeat trial {trial.number}:", trial.command) for trial in best]
    lines += [("Read the replies:", shlex.join(["python", "-m", "tune", "replies", study.name, *where]))] * bool(best)
    lines += [("Print this again:", shlex.join(["python", "-m", "tune", "report", study.name, *where]))]
    console.print()
    for name, command in lines:
        console.print(f"{name:23}{command}", soft_wrap=True)


def print_trial(metrics: dict[str, float], notes: Sequence[str], folder: Path) -> None:
    """Print what one trial found."""
    console = _console()
    print_metrics(metrics, console)
    for note in notes:
        console.print(f"note: {note}")
    console.print(f"\nAdapter and per-example scores: {folder}", soft_wrap=True)
    console.print(
        f"Replies side by side: {shlex.join(['python', '-m', 'tune', 'replies', str(folder)])}", soft_wrap=True
    )


def print_decision(decision: Decision) -> None:
    """Print what may be said of a single trial."""
    print_word(decision.verdict, "  on the validation split", decision.reasons, _console())


def _console(*, width: int = 200) -> Console:
    """Return standard output, which has so many columns where it is no terminal."""
    # No markup: a list among the overrides, [execution], would be taken for a style and vanish.
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=width)
