"""Where a study is kept: its folder, its database, and what it was started with."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from tune.config.compose import from_yaml, leaves, to_yaml
from tune.config.explain import ASIDE
from tune.config.schema import Config, Sampler
from tune.errors import ConfigError, StudyError, nearest
from tune.files import read_json
from tune.study.attempts import QUEUED, attempt, rejected, root, superseded
from tune.study.budget import budget_s, spent_s
from tune.study.database import is_default, open_storage, shown, storage_url
from tune.study.lock import study_lock
from tune.study.space import Space, grid, meant, read_space
from tune.track.finals import FinalRecord, VerdictRecord
from tune.track.records import ObjectiveRecord, StudyRecord, TrialRecord
from tune.track.repeats import finalists

_FREE = (
    "study.n_trials",
    "study.budget",
    "study.name",
    "study.storage",
    "study.retries",
    "study.storage_wait_s",
    "study.free_gib",
    *ASIDE,
    "sweep.question",
    "evaluate.finalists",
    "study.require_verdict",
    "sweep.seeds",
)
"""Keys that may differ when a study goes on: they do not change what a trial is."""


FINAL_OF = "final:"
"""Attribute of a study with what a finalist scored; the trial's number stands behind it."""

NAMED_FIRST = "finals:first"
"""Attribute of a study with the trial that was the best when the test split was looked at for the first time."""

VERDICT = "verdict"
"""Attribute of a study with what may be said at its end, and of which trials and finalists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFolder:
    """The files of one study."""

    runs: Path
    """Folder of all studies."""

    name: str

    @property
    def path(self) -> Path:
        """Return the study's own folder."""
        return self.runs / "studies" / self.name

    def trial(self, number: int) -> Path:
        """Return the folder of one trial, by the number of its first attempt."""
        return self.path / "trials" / f"{number:04d}"

    def reached(self, number: int) -> int:
        """Return the optimizer step of a trial's newest checkpoint on this disk; 0 without one."""
        steps = [path.name.removeprefix("step-") for path in self.trial(number).glob("checkpoints/step-*")]
        return max((int(step) for step in steps if step.isdecimal()), default=0)

    def has_begun(self, trial: Any) -> bool:
        """Return whether a running attempt got beyond the loading of its model, on this disk."""
        file = self.trial(root(trial)) / "progress.json"
        return file.is_file() and file.stat().st_mtime >= trial.user_attrs.get("started", 0)

    def lock(self, what: str) -> FileLock:
        """Return a lock between the study's processes."""
        return FileLock(self.path / f".{what}.lock")


def study_name(config: Config) -> str:
    """Return the name: `study.name`, else the sweep's.

    Raises:
        ConfigError: It cannot be the name of a folder.
    """
    assert config.sweep is not None
    name = config.study.name or config.sweep.name
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        msg = f"study.name={name} is not allowed: use letters, digits, dots, dashes and underscores."
        raise ConfigError(msg)
    return name


def n_wanted(config: Config, space: Space) -> int:
    """Return how many trials the study has in all."""
    if config.study.sampler is not Sampler.grid:
        assert config.study.n_trials is not None  # config.rules has asked for it
        return config.study.n_trials
    assert config.sweep is not None
    cells = len(grid(space, config)) * max(1, len(config.sweep.seeds))
    return min(cells, config.study.n_trials or cells)


def open_study(config: Config, runs: Path) -> tuple[Any, bool]:
    """Return the Optuna study and whether it is new.

    Raises:
        StudyError: One of this name exists and was started with something else.
    """
    import optuna

    assert config.sweep is not None
    name, storage = study_name(config), open_storage(storage_url(config, runs), runs)
    directions = [objective.direction.value for objective in config.sweep.all_objectives]
    study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    with study_lock(study):
        is_new = "config" not in study.user_attrs
        if not is_new:
            _refuse_another(study, config)
        else:
            study.set_user_attr("key", uuid.uuid4().hex)
        # The number of trials may have been raised; everything else that matters is the same.
        study.set_user_attr("config", to_yaml(_without_place(config)))
    return study, is_new


def load_study(name: str, config: Config, runs: Path) -> Any:
    """Return an existing Optuna study.

    Raises:
        StudyError: There is none of this name.
    """
    import optuna

    missing = is_default(config) and not (runs / "optuna.db").is_file()
    storage = None if missing else open_storage(storage_url(config, runs), runs)
    names = optuna.get_all_study_names(storage) if storage else []
    if name not in names:
        there = nearest(name, names) if names else "No study has been started there."
        place = runs if is_default(config) else shown(storage_url(config, runs))
        msg = f"there is no study called {name} in {place}. {there} Start one with +sweep=NAME."
        raise StudyError(msg)
    return optuna.load_study(study_name=name, storage=storage)


def stored_config(study: Any) -> Config:
    """Return the configuration that the study was started with, its number of trials as last asked for."""
    return from_yaml(study.user_attrs["config"])


def snapshot(study: Any, folder: StudyFolder) -> StudyRecord:
    """Return the study as it stands; a trial is shown by its last attempt."""
    config = stored_config(study)
    assert config.sweep is not None
    first, *others = (
        ObjectiveRecord(metric=one.metric, direction=one.direction.value) for one in config.sweep.all_objectives
    )
    space, attempts = read_space(config), study.get_trials(deepcopy=False)
    trials = [_trial(t, config, space, folder) for t in attempts if not superseded(t) and not rejected(t)]
    now = StudyRecord(
        name=study.study_name,
        question=config.sweep.question,
        metric=first.metric,
        direction=first.direction,
        others=tuple(others),
        n_trials=n_wanted(config, space),
        guards=tuple(config.sweep.guards),
        seeds=tuple(config.sweep.seeds),
        n_rejected=sum(map(rejected, attempts)),
        confidence=config.evaluate.confidence,
        run_id=study.user_attrs.get("run_id"),
        budget_s=budget_s(config),
        spent_s=spent_s(study),
        trials=tuple(sorted(trials, key=lambda trial: trial.number)),
    )
    return _with_verdict(now, study, config) if now.done >= now.n_trials else now


def _with_verdict(now: StudyRecord, study: Any, config: Config) -> StudyRecord:
    """Return a study whose trials have ended with what its best ones scored on the test split."""
    attrs, best = study.user_attrs, tuple(trial.number for trial in finalists(now, config.evaluate.finalists))
    every = {trial.number: attrs.get(f"{FINAL_OF}{trial.number}") for trial in now.trials}
    scored = {number: FinalRecord.from_json(plain) for number, plain in every.items() if plain}
    kept = attrs.get(VERDICT, {})  # of other trials or finalists, where the study went on since
    verdict = VerdictRecord.from_json(kept["said"]) if kept.get("of") == verdict_of(now, best) else None
    return replace(
        now,
        finalists=best,
        finals=tuple(scored[number] for number in best if number in scored),
        named_first=attrs.get(NAMED_FIRST),
        looked_at=tuple(final for number, final in scored.items() if number not in best and final.forms),
        verdict=verdict,
    )


def verdict_of(now: StudyRecord, best: Sequence[int]) -> dict[str, list[int]]:
    """Return what a verdict is of: other trials, or other finalists among them, need another."""
    return {"finalists": list(best), "trials": [trial.number for trial in now.ranked()]}


def _trial(trial: Any, config: Config, space: Space, folder: StudyFolder) -> TrialRecord:
    attrs = trial.user_attrs
    queued = trial.system_attrs.get(QUEUED, {})
    state = trial.state.name.lower()
    state = attrs.get("ended", "failed") if trial.state.is_finished() else state
    return TrialRecord(
        number=root(trial),
        state=state,
        reason=attrs.get("reason"),
        message=attrs.get("message", ""),
        seed=attrs.get("seed", config.seed),
        parameters=attrs["point"] if "point" in attrs else meant(space.order, queued, config),
        metrics=attrs.get("metrics", {}),
        run_id=attrs.get("run_id"),
        notes=tuple(attrs.get("notes", ())),
        command=attrs.get("command", ""),
        attempt=attempt(trial),
        pruned_step=attrs.get("pruned_step"),
        worker=attrs.get("worker"),
        started=attrs.get("started"),
        doing=_doing(folder.trial(root(trial)) / "progress.json") if state == "running" else "",
    )


def _doing(file: Path) -> str:
    now = read_json(file)
    return f"{now['phase']} {now['done']}/{now['total']}" if now else "starting"


def _without_place(config: Config) -> Config:
    """Return the configuration without the database's address, which may hold a password."""
    return replace(config, study=replace(config.study, storage=None))


def _refuse_another(study: Any, config: Config) -> None:
    before, now = _fixed(stored_config(study)), _fixed(config)
    changed = [key for key in before.keys() | now.keys() if before.get(key) != now.get(key)]
    if changed:
        shown = "; ".join(
            f"{key} was {_shown(before.get(key))}, now {_shown(now.get(key))}" for key in sorted(changed)[:5]
        )
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""  # noqa: PLR2004
        msg = (
            f"the study {study.study_name} exists and was started otherwise: {shown}{more}. Its trials and new ones "
            f"cannot be compared: take study.name=ANOTHER, or the old settings to go on with it."
        )
        raise StudyError(msg)


def _fixed(config: Config) -> dict[str, Any]:
    return {key: value for key, value in leaves(config).items() if not key.startswith(_FREE)}


def _shown(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else value
