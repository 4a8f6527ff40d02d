"""The last step of a study: its best trials on the untouched test split, and the verdict.

The search has seen the validation split only, and chose by it, so what it says of the winner flatters it. Here the
winner and the runners-up are scored once on examples that nothing was chosen by, in a process of their own.
"""

import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from typing import Any

from tune import paths
from tune.config.compose import to_yaml
from tune.config.digest import digest
from tune.config.evaluation import EvaluateConfig
from tune.config.judge import JudgeConfig
from tune.config.schema import Config
from tune.errors import ConfigError, StudyError
from tune.files import write_json
from tune.study.apart import enough
from tune.study.crew import place_variables
from tune.study.heart import SUPERVISOR, die_with_supervisor
from tune.study.leftovers import remove
from tune.study.machine import gpu_variables, n_cores, thread_variables
from tune.study.rows import DATA, refuse_other_rows
from tune.study.space import configured
from tune.study.storage import (
    FINAL_OF,
    NAMED_FIRST,
    VERDICT,
    StudyFolder,
    load_study,
    snapshot,
    stored_config,
    verdict_of,
)
from tune.study.verdict import final_to_json, judged_final, study_verdict, verdict_tags
from tune.track.buffer import buffered_run
from tune.track.finals import FinalRecord, VerdictRecord
from tune.track.output import print_no_secrets
from tune.track.place import open_store
from tune.track.records import StudyRecord, TrialRecord
from tune.track.repeats import finalists
from tune.trial.bar import Bar
from tune.trial.failure import failure
from tune.trial.outcome import FINAL
from tune.trial.task import read_task

_SEND_S = 30.0
_MERGED = "merged"


def are_due(study: StudyRecord, config: Config) -> bool:
    """Return whether a study that has ended is still to be judged."""
    is_wanted = config.evaluate.finalists > 0 and bool(study.ranked())
    return is_wanted and study.done >= study.n_trials and study.verdict is None


def run_finals_apart(study: Any, config: Config, folder: StudyFolder) -> None:
    """Score the finalists in a process of its own, with all cores; return when it has ended.

    Raises:
        StudyError: It could not be done; the reason was printed.
        KeyboardInterrupt: Somebody asked to stop; finalists that were scored stay scored.
    """
    own = thread_variables(config.workers.threads or n_cores()) | gpu_variables(0) | {SUPERVISOR: str(os.getpid())}
    process = subprocess.Popen(
        [sys.executable, "-m", "tune", "finals", study.study_name, f"track.folder='{folder.runs}'"],
        start_new_session=True,
        env=os.environ | own | place_variables(config, folder.runs),
    )
    try:
        code = process.wait()
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    if code:
        msg = (
            f"the best trials of {study.study_name} could not be scored on the test split; the reason stands above. "
            f"All trials are kept: python -m tune finals {study.study_name} tries again."
        )
        raise StudyError(msg)


def is_part_of_study() -> bool:
    """Return whether this process was started by the study's own, which prints the report."""
    return SUPERVISOR in os.environ


def run_finals(name: str, config: Config, *, n: int | None = None) -> StudyRecord:
    """Score a study's finalists on the test split, where that was not done before, and judge the study.

    Args:
        name: Of the study.
        config: Where it is.
        n: Finalists from now on; None for as many as the study has, or as are usual where it has none.

    Raises:
        ConfigError: None are asked for.
        StudyError: There is no such study, or it has no complete trial.
        DataError: Its rows are not those that it began with.
    """
    if n == 0:
        msg = "evaluate.finalists=0 leaves nobody to score: take 1 or more, or leave it out for as many as are usual."
        raise ConfigError(msg)
    print_no_secrets()
    runs = paths.runs_dir(config.track.folder)
    study, folder = load_study(name, config, runs), StudyFolder(runs=runs, name=name)
    _stop_cleanly()
    own = _with_finalists(study, n)
    now = snapshot(study, folder)
    if now.done < now.n_trials:
        msg = (
            f"{now.n_trials - now.done} of {now.n_trials} trials of {name} have not ended, and the test split is "
            "looked at once, when the best ones are known. Give the study's command again, or end it with a smaller "
            "study.n_trials."
        )
        raise StudyError(msg)
    if not now.ranked():
        msg = f"the study {name} has no complete trial, so there is nothing to score. Go on with it: +sweep=…"
        raise StudyError(msg)
    if not is_part_of_study() and (rows := study.user_attrs.get(DATA)):  # a study has looked at its rows itself
        refuse_other_rows(rows, read_task(own).splits, study=name)
    with folder.lock("finals"), Bar() as bar:
        remove(folder.path / _MERGED)
        best = finalists(now, own.evaluate.finalists)
        if best and NAMED_FIRST not in study.user_attrs:
            study.set_user_attr(NAMED_FIRST, best[0].number)
        for trial in best:
            _score(trial, study, own, folder, bar)
        remove(folder.path / _MERGED)
        now = snapshot(study, folder)
        judged = replace(study_verdict(now), enough=tuple(enough(now, own, folder)))
        study.set_user_attr(VERDICT, {"of": verdict_of(now, now.finalists), "said": asdict(judged)})
        if not is_part_of_study():
            _mark(study, judged, folder, own)
    return snapshot(study, folder)


def _mark(study: Any, verdict: VerdictRecord, folder: StudyFolder, config: Config) -> None:
    """Let the study's own run say the verdict, which a study does by itself at its end."""
    if run_id := study.user_attrs.get("run_id"):
        store = open_store(config.track, folder.runs)
        recorder = buffered_run(store, folder.path, name=folder.name, study_run_id=None, tags={}, run_id=run_id)
        recorder.tags(verdict_tags(verdict))
        recorder.close(_SEND_S)


def _score(trial: TrialRecord, study: Any, config: Config, folder: StudyFolder, bar: Bar) -> None:
    """Score one finalist, unless it has been; what goes wrong is written down and said in the verdict.

    What it scored before stays where it cannot be scored again.
    """
    own = replace(configured(config, trial.parameters), seed=trial.seed)
    key = f"{FINAL_OF}{trial.number}"
    about = f"test split: trial {trial.number}"
    try:
        record = _scored(trial, own, study, folder, bar)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other finalists are scored, as other trials are
        why = failure(error).message
        bar.announce(f"{about} could not be scored: {why}")
        if study.user_attrs.get(key, {}).get("forms"):
            bar.announce(f"{about} keeps what it scored before.")
            return
        record = FinalRecord(trial=trial.number, n_examples=0, forms={}, failure=why)
    if record:
        _publish(record, trial, folder, config)
        study.set_user_attr(key, record.to_json())


def _scored(trial: TrialRecord, own: Config, study: Any, folder: StudyFolder, bar: Bar) -> FinalRecord | None:
    """Return what a finalist scored, or None where that is known already."""
    from tune.trial.finals import final_task, score_final
    from tune.trial.task import model_folder

    task, place = final_task(own), folder.trial(trial.number)
    asked = replace(own.evaluate, finalists=0, judge=JudgeConfig())  # neither moves a score
    key = digest([own.model, own.quantization, own.lora, own.data, asked, dict(task.splits.digests)])
    known = study.user_attrs.get(f"{FINAL_OF}{trial.number}")
    if known and known["key"] == key and (place / FINAL).is_file():
        return None
    about = f"test split: trial {trial.number}"
    bar.announce(f"{about} is scored as it was saved and as it would be deployed, {len(task.splits.test)} examples")
    final = score_final(
        own,
        task,
        adapter=place / "adapter",
        model=model_folder(own, announce=bar.announce),
        work=folder.path / _MERGED,
        on=lambda phase, done, total: bar.on(f"{about} {phase}", done, total),
    )
    record = judged_final(final, own, trial=trial.number, key=key)
    write_json(place / FINAL, final_to_json(final, record))
    return record


def _publish(record: FinalRecord, trial: TrialRecord, folder: StudyFolder, config: Config) -> None:
    """Let the trial's run show what it scored on the test split."""
    if trial.run_id is None:
        return  # MLflow was away when it ran; doctor says so
    place = folder.trial(trial.number)
    store = open_store(config.track, folder.runs)
    recorder = buffered_run(store, place, name=folder.name, study_run_id=None, tags={}, run_id=trial.run_id)
    for form, found in record.forms.items():
        recorder.metrics({f"final/{form}/{name}": value for name, value in found.metrics.items()})
    recorder.tags({"tune.verdict": record.decisive.verdict if record.decisive else "INSUFFICIENT"})
    if (place / FINAL).is_file():
        recorder.artifact(place / FINAL)
    recorder.close(_SEND_S)


def _with_finalists(study: Any, n: int | None) -> Config:
    """Return the study's configuration, from now on with so many finalists."""
    own = stored_config(study)
    wanted = n if n is not None else own.evaluate.finalists or EvaluateConfig().finalists
    if wanted != own.evaluate.finalists:
        own = replace(own, evaluate=replace(own.evaluate, finalists=wanted))
        study.set_user_attr("config", to_yaml(own))
    return own


def _stop_cleanly() -> None:
    """End with KeyboardInterrupt where this process is asked to stop, or its supervisor dies."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    die_with_supervisor()
