"""What each word after `python -m tune` does. Nothing heavy is imported before its command needs it."""

import os
from collections.abc import Callable

from tune.config.schema import Config
from tune.words import Words, name_and_files, no_names, one_name

_NOTHING_TO_SHIP = 3
_INTERRUPTED = 130


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
    from tune.report.command import print_decision, print_trial
    from tune.trial.command import run_single

    outcome, decision, folder = run_single(config)
    print_trial(outcome.metrics, outcome.notes, folder)
    print_decision(decision)
    return _verdict_code(decision.verdict, config)


def _study(config: Config) -> int:
    from tune.report.command import print_end
    from tune.study.command import run_study

    study = run_study(config)
    print_end(study, config.track)
    if not study.ranked() and not study.is_out_of_budget:
        return 1
    return _verdict_code(study.verdict.verdict if study.verdict else None, config)


def _verdict_code(verdict: str | None, config: Config) -> int:
    """Return 3 where nothing may be shipped and the user asked to be told so."""
    return _NOTHING_TO_SHIP if config.study.require_verdict and verdict != "SHIP" else 0


def _data(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose
    from tune.report.command import print_data_set

    no_names(words)
    config = compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    print_data_set(config)
    return 0


def _plan(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose

    no_names(words)
    config = compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    from tune.study.machine import n_cores, thread_variables

    os.environ.update(thread_variables(config.workers.threads or n_cores()))
    from tune.report.command import estimating, print_the_plan
    from tune.study.plan import make_plan

    with estimating() as on:
        plan = make_plan(config, on)
    print_the_plan(plan, config.report.format)
    return 0


def _report(words: Words) -> int:
    from tune.config.compose import compose
    from tune.report.command import print_report
    from tune.study.visit import read_study

    config = compose(words.overrides, config_dir=words.config_dir)
    print_report(read_study(one_name(words), config), config.report.format)
    return 0


def _finals(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose
    from tune.report.command import print_report
    from tune.study.finals import is_part_of_study, run_finals

    config = compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    is_asked = any(word.startswith("evaluate.finalists=") for word in words.overrides)
    try:
        study = run_finals(one_name(words), config, n=config.evaluate.finalists if is_asked else None)
    except KeyboardInterrupt:
        if is_part_of_study():
            return _INTERRUPTED  # the study says so
        raise
    if not is_part_of_study():
        print_report(study, config.report.format)
    return 0


def _replies(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose
    from tune.report.command import print_the_replies
    from tune.study.visit import find_trial

    name, config = one_name(words), compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    title, folder = find_trial(name, config)
    print_the_replies(title, folder, config)
    return 0


def _status(words: Words) -> int:
    from tune.config.compose import compose
    from tune.report.command import print_study_status
    from tune.study.visit import read_study

    print_study_status(read_study(one_name(words), compose(words.overrides, config_dir=words.config_dir)))
    return 0


def _stop(words: Words) -> int:
    from tune.config.compose import compose
    from tune.study.visit import stop_study

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


def _sheet(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose
    from tune.report.command import make_sheet
    from tune.study.replies import read_sides

    name, config = one_name(words), compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    make_sheet(read_sides(name, config), config)
    return 0


def _votes(words: Words) -> int:
    from tune.config.compose import compose
    from tune.report.command import read_votes
    from tune.study.visit import study_folder

    name, files = name_and_files(words)
    config = compose(words.overrides, config_dir=words.config_dir)
    read_votes(study_folder(name, config), files, config.report.format)
    return 0


def _judge(words: Words) -> int:
    from tune.config import rules
    from tune.config.compose import compose
    from tune.config.judge import check_judge
    from tune.report.command import print_judged
    from tune.study.judged import read_judged

    name, config = one_name(words), compose(words.overrides, config_dir=words.config_dir)
    rules.check(config)
    check_judge(config.evaluate.judge)
    return 0 if print_judged(read_judged(name, config), config) else 1


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
    from tune.study.visit import work

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
    "plan": _plan,
    "data": _data,
    "report": _report,
    "finals": _finals,
    "replies": _replies,
    "config": _config,
    "fetch": _fetch,
    "status": _status,
    "stop": _stop,
    "doctor": _doctor,
    "clean": _clean,
    "sheet": _sheet,
    "votes": _votes,
    "judge": _judge,
    "ui": _ui,
    "worker": _worker,
}
