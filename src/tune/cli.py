"""The command line: which command, on what, with which overrides; and which exit code.

0 done, 1 failed, 2 the user's mistake, 130 interrupted. Nothing heavy is imported
before a command needs it, so help and mistakes come back at once.
"""

import os
import sys
from collections.abc import Callable, Sequence

from tune.config.schema import Config
from tune.errors import StudyError, TrialError, TuneError
from tune.words import Words, no_names, one_name, read_words

HELP = """\
tune: LoRA and QLoRA sweeps that say which configuration to take, and whether it hurt the model.

  python -m tune +sweep=NAME [key=value …]     run a study, or go on with it
  python -m tune [key=value …]                 run one trial
  python -m tune data [key=value …]            what is learned: rows, what is taken out and why, splits, tokens
  python -m tune report NAME [report.format=json]
                                               print a study again
  python -m tune status NAME                   how far it is, and who runs what
  python -m tune stop NAME                     finish the trials that run, start none
  python -m tune doctor NAME [doctor.fix=true] what does not agree between storage, MLflow and disk
  python -m tune clean NAME [clean.yes=true]   free the room of what nothing needs any more
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


def _run(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose

    no_names(words)
    config = compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    if config.sweep is not None:
        return _study(config)
    # Threads are set before torch is imported, and torch is imported late.
    from tune.study.machine import gpu_variables, n_cores, thread_variables
    from tune.study.needs import refuse_missing

    refuse_missing(config)
    os.environ.update(thread_variables(config.workers.threads or n_cores()) | gpu_variables(0))
    from tune.report.command import print_trial
    from tune.trial.command import run_single

    outcome, folder = run_single(config)
    print_trial(outcome.metrics, outcome.notes, folder)
    return 0


def _study(config: Config) -> int:
    from tune.report.command import print_end
    from tune.study.command import run_study

    study = run_study(config)
    print_end(study, config.track)
    return 0 if study.ranked() else 1


def _data(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose
    from tune.report.command import print_data_set

    no_names(words)
    config = compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    print_data_set(config)
    return 0


def _report(words: Words) -> int:
    from tune.config.compose import compose
    from tune.report.command import print_report
    from tune.study.command import read_study

    config = compose(words.overrides, config_dir=words.config_dir)
    print_report(read_study(one_name(words), config), config.report.format)
    return 0


def _status(words: Words) -> int:
    from tune.config.compose import compose
    from tune.report.command import print_study_status
    from tune.study.command import read_study

    print_study_status(read_study(one_name(words), compose(words.overrides, config_dir=words.config_dir)))
    return 0


def _stop(words: Words) -> int:
    from tune.config.compose import compose
    from tune.study.command import stop_study

    study = stop_study(one_name(words), compose(words.overrides, config_dir=words.config_dir))
    n_running = study.counts()["running"]
    print(f"{study.name}: {n_running} running trials are finished, none is started. +sweep=… goes on with it.")  # noqa: T201
    return 0


def _doctor(words: Words) -> int:
    from tune.config.compose import compose
    from tune.report.command import print_findings
    from tune.study.doctor.examine import examine, open_case

    config = compose(words.overrides, config_dir=words.config_dir)
    checkup = examine(open_case(one_name(words), config), fix=config.doctor.fix)
    print_findings(checkup, config.track)
    return 1 if checkup.n_left else 0


def _clean(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose
    from tune.report.command import confirm_freeing, print_freeing
    from tune.study.clean import find_freeable, free, summary

    name, config = one_name(words), compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    found = find_freeable(name, config)
    if not confirm_freeing(name, summary(found), yes=config.clean.yes):
        return 0
    freed, kept = free(found)
    print_freeing(freed, kept)
    return 1 if kept else 0


def _ui(words: Words) -> int:
    from tune import paths
    from tune.config import rules
    from tune.config.compose import compose
    from tune.track.environment import redact
    from tune.track.folder import check_database, database, ui_command

    no_names(words)
    config = compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    track = config.track
    if uri := paths.tracking_uri(track.uri):
        print(f"The runs are shown by the MLflow server that keeps them: {redact(uri)}")  # noqa: T201
        return 0
    runs = paths.runs_dir(track.folder)
    check_database(database(runs))
    print(f"MLflow shows {runs} at http://127.0.0.1:{track.port}, for this machine alone. Ctrl-C ends it.", flush=True)  # noqa: T201
    command = ui_command(runs, port=track.port)
    return os.execvp(command[0], command)  # noqa: S606 - a list, never a shell


def _worker(words: Words) -> int:
    from tune.config.compose import compose
    from tune.study.command import work

    return work(one_name(words), compose(words.overrides, config_dir=words.config_dir))


def _fetch(words: Words) -> int:
    from rich.console import Console

    from tune.config.compose import compose
    from tune.model.source import check_source
    from tune.trial.task import model_folder

    no_names(words)
    config = compose(words.overrides, config_dir=words.config_dir)
    check_source(config.model)
    console = Console(stderr=True, markup=False, highlight=False)
    model_folder(config, announce=console.print)
    return 0


def _config(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose, to_yaml

    no_names(words)
    config = compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    print(to_yaml(config), end="")  # noqa: T201
    return 0


COMMANDS: dict[str, Callable[[Words], int]] = {
    "run": _run,
    "data": _data,
    "report": _report,
    "config": _config,
    "fetch": _fetch,
    "status": _status,
    "stop": _stop,
    "doctor": _doctor,
    "clean": _clean,
    "ui": _ui,
    "worker": _worker,
}


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
