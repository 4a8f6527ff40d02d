"""The command line: which command, on what, with which overrides; and which exit code.

0 done, 1 failed, 2 the user's mistake, 3 finished but nothing may be shipped, 130 interrupted.
Nothing heavy is imported before a command needs it, so help and mistakes come back at once.
"""

import os
import sys
from collections.abc import Sequence

from tune.commands import COMMANDS
from tune.errors import StudyError, TrialError, TuneError
from tune.words import Words, read_words

HELP = """\
tune: LoRA and QLoRA sweeps that say which configuration to take, and whether it hurt the model.

  python -m tune +sweep=NAME [key=value …]     run a study, or go on with it
  python -m tune [key=value …]                 run one trial
  python -m tune plan [+sweep=NAME key=value …] what it would run, and what it needs; nothing is trained
  python -m tune data [key=value …]            what is learned: rows, what is taken out and why, splits, tokens
  python -m tune report NAME [report.format=json]
                                               print a study again
  python -m tune finals NAME                   score the best trials on the test split (a study does so at its end)
  python -m tune replies NAME [replies.trial=N]
                                               what base and adapted model said, side by side
  python -m tune status NAME                   how far it is, and who runs what
  python -m tune stop NAME                     finish the trials that run, start none
  python -m tune doctor NAME [doctor.fix=true] what does not agree between storage, MLflow and disk
  python -m tune clean NAME [clean.yes=true]   free the room of what nothing needs any more
  python -m tune sheet NAME [sheet.n=50]       replies of a trial and its base side by side, for people to judge blind
  python -m tune votes NAME FILE [FILE …]      what they say
  python -m tune judge NAME evaluate.judge.base_url=URL evaluate.judge.model=MODEL
                                               what a language model says of the replies
  python -m tune ui [track.port=5000]          compare runs in MLflow's pages
  python -m tune config [key=value …]          print the whole configuration
  python -m tune fetch [model=NAME]            get the model into the cache, and stop
  python -m tune worker NAME                   run trials of a study from this shell

  --config-dir FOLDER   a folder of your own config groups; its sweep/ holds your sweeps
  --help, --version

Sweeps: {sweeps}.
Groups: {groups}.
A study writes to mlruns/ (track.folder=…); models and base scores are kept in the cache (TUNE_CACHE).
For several machines, in the environment: TUNE_STORAGE=postgresql+psycopg://USER:PASSWORD@HOST/DATABASE for the study,
and TUNE_TRACKING_URI=http://HOST:PORT for MLflow.
"""

PRIVATE = 0o077
"""Bits that no new file or folder has: all of the group's and everybody else's."""


def main(arguments: Sequence[str]) -> int:
    """Run a command; return the exit code.

    What it makes is for this user alone, whatever the shell's umask. A folder that is there keeps its mode and
    nothing is said about it: mlruns/ of a checkout is readable everywhere, what tune puts in it is not.
    """
    # Of the process, not file by file: sqlite, MLflow, Optuna and safetensors make files without asking for a mode,
    # readers too (sqlite's -wal and -shm), and workers, the fetching of models and MLflow's server inherit it.
    os.umask(PRIVATE)
    try:
        if any(word in {"--help", "-h"} for word in arguments):
            return _help()
        if "--version" in arguments:
            return _version()
        words = read_words(arguments, COMMANDS)
        return _run_command(words)
    except TuneError as error:
        print(f"tune: {error}", file=sys.stderr)  # noqa: T201 - the command line speaks
        return 2
    except TrialError as error:
        print(f"tune: the trial ended without a result ({error.reason}): {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("tune: stopped. The same command goes on where this one ended.", file=sys.stderr)  # noqa: T201
        return 130


def _run_command(words: Words) -> int:
    try:
        return COMMANDS[words.command](words)
    except TuneError:
        raise  # it says already what to do
    except Exception as error:
        if not _is_away(error):
            raise
        msg = "the study's database does not answer. When it is back, give the same command again."
        raise StudyError(msg) from error


def _is_away(error: Exception) -> bool:
    if "sqlalchemy" not in sys.modules:  # then no database was asked
        return False
    from tune.study.database import is_away

    return is_away(error)


def _help() -> int:
    from tune import paths

    sweeps = ", ".join(sorted(file.stem for file in paths.sweeps_dir().glob("*.yaml")))
    groups = "; ".join(
        f"{folder.name}={'|'.join(sorted(file.stem for file in folder.glob('*.yaml')))}"
        for folder in sorted(paths.conf_dir().iterdir())
        if folder.is_dir()
    )
    print(HELP.format(sweeps=sweeps, groups=groups), end="")  # noqa: T201
    return 0


def _version() -> int:
    from importlib.metadata import version

    print(f"loratune {version('loratune')}")  # noqa: T201
    return 0
