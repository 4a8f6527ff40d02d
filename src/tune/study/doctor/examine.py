"""`python -m tune doctor NAME`: looks for every kind of finding, in an order in which mending one makes no other."""

from collections.abc import Callable, Iterator, Sequence

from tune import paths
from tune.config.schema import Config
from tune.errors import StudyError, TrackingError, TuneError
from tune.study.doctor import disk, runs, storage
from tune.study.doctor.case import Case, Finding
from tune.study.storage import StudyFolder, load_study, stored_config
from tune.track.place import open_store
from tune.track.upkeep import CheckupRecord, Fate, FindingRecord

Look = Callable[[Case], list[Finding]]

# A dead worker's attempt is ended before its run is judged; a journal is sent before what it says is missed.
_STORAGE: tuple[Look, ...] = (storage.dead_workers, storage.missing_followers, storage.doubled_attempts)
_MLFLOW: tuple[Look, ...] = (
    runs.unsent_journals,
    runs.missing_runs,
    runs.wrong_statuses,
    runs.wrong_metrics,
    runs.stray_runs,
    runs.parent_run,
)
_DISK: tuple[Look, ...] = (
    disk.half_written_files,
    disk.missing_results,
    disk.old_checkpoints,
    disk.broken_checkpoints,
    disk.unknown_folders,
)


def open_case(name: str, config: Config) -> Case:
    """Return the study in all three places.

    Raises:
        StudyError: There is none of this name, its database cannot be read, or nothing of it was ever started.
    """
    folder = paths.runs_dir(config.track.folder)
    study = load_study(name, config, folder)
    if "config" not in study.user_attrs:
        msg = (
            f"the study {name} was cut off before it began; there is nothing to look after. Start it with +sweep=NAME."
        )
        raise StudyError(msg)
    stored = stored_config(study)
    store = open_store(stored.track, folder)
    return Case(study=study, config=stored, store=store, folder=StudyFolder(runs=folder, name=name))


def examine(case: Case, *, fix: bool) -> CheckupRecord:
    """Look for everything that does not agree; with `fix`, mend what can be mended."""
    findings = [
        *_look_all("storage", case, _STORAGE, fix=fix),
        *_look_at_mlflow(case, fix=fix),
        *_look_all("disk", case, _DISK, fix=fix),
    ]
    return CheckupRecord(
        study=case.folder.name, n_trials=len(case.last()), findings=tuple(findings), notes=tuple(_notes(case))
    )


def _look_at_mlflow(case: Case, *, fix: bool) -> Iterator[FindingRecord]:
    """Yield what is found in MLflow; where it cannot be read, that."""
    if "run_id" not in case.study.user_attrs:
        return  # cut off before anything was recorded
    try:
        yield from _look_all("MLflow", case, _MLFLOW, fix=fix)
    except TrackingError as error:
        what = "MLflow could not be looked at to the end"
        yield FindingRecord(place="MLflow", what=what, fate=Fate.stays, advice=str(error))


def _look_all(place: str, case: Case, looks: Sequence[Look], *, fix: bool) -> Iterator[FindingRecord]:
    for look in looks:
        found = look(case)
        troubles = {finding.what: _mend(finding) for finding in found} if fix else {}
        # What was mended is looked for again: that, and not the good will, is what is said.
        still = {finding.what for finding in look(case)} if troubles else set()
        for finding in found:
            yield _record(place, finding, still=finding.what in still, trouble=troubles.get(finding.what), fix=fix)


def _mend(finding: Finding) -> str | None:
    """Mend one thing; return why it could not be."""
    if finding.fix is None:
        return None
    try:
        finding.fix()
    except (TuneError, OSError) as error:
        return str(error)
    return None


def _record(place: str, finding: Finding, *, still: bool, trouble: str | None, fix: bool) -> FindingRecord:
    if finding.fix is None:
        return FindingRecord(place=place, what=finding.what, fate=Fate.stays, advice=finding.advice)
    if not fix:
        return FindingRecord(place=place, what=finding.what, fate=Fate.found, advice=finding.advice)
    if not still:
        return FindingRecord(place=place, what=finding.what, fate=Fate.mended, advice=finding.advice)
    advice = trouble or "it was tried, and is so again; the study's workers or another process may be at it"
    return FindingRecord(place=place, what=finding.what, fate=Fate.stays, advice=advice)


def _notes(case: Case) -> list[str]:
    try:
        strays = runs.ended_strays(case) if "run_id" in case.study.user_attrs else []
    except TrackingError:
        strays = []  # said already
    return [*disk.results_elsewhere(case), *strays]
