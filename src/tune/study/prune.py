"""Whether a trial goes on, by its validation loss so far.

Optuna's pruners compare trials at what they call a step. It is the index of a measurement here and not the optimizer
step: trials of a search differ in batch size and epochs, and after the same share of the training each is equally far
in its own learning rate's schedule.

They are shown the study through `_Lasting`, where all attempts at a trial are one: an attempt that was cut off would
compete with the one that follows it, and hyperband, which takes a trial's bracket from its number, would move it.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from tune.config.objective import Direction
from tune.config.pruning import Pruner, PruningConfig
from tune.config.schema import Config
from tune.errors import Pruned
from tune.study.attempts import root, superseded
from tune.study.sampler import unwarned
from tune.train.evals import Eval

Patiently = Callable[[Callable[[], Any]], Any]
"""Does something with the database, and waits for it where it is away."""


class Judge:
    """Tells the storage a trial's measurements, and stops the trial where the pruner says so.

    Args:
        study: Optuna's study.
        trial: The attempt. One that follows another knows nothing of what that one told, and tells it again.
        config: Of the study.
        patiently: How the database is spoken to.
    """

    def __init__(self, study: Any, trial: Any, config: Config, *, patiently: Patiently = lambda act: act()) -> None:
        assert config.sweep is not None
        self._study = study
        self._trial = trial
        self._pruner = pruner_of(config.study.pruner, config.study.pruning, n_evals=config.train.evals)
        # Optuna's pruners take the study's direction for that of the measurements. A loss is always minimized, so
        # where the study maximizes they are shown its negative.
        self._sign = -1.0 if config.sweep.objective.direction is Direction.maximize else 1.0
        # Further seeds are run to know a point's mean better; it would be the mean of the lucky ones.
        self._is_repeat = bool(config.sweep.seeds) and trial.user_attrs.get("seed") not in {None, config.sweep.seeds[0]}
        self._patiently = patiently

    def __call__(self, evals: Sequence[Eval]) -> None:
        """Take all measurements so far.

        Raises:
            Pruned: The trial is to end here.
        """
        if self._pruner is None or self._is_repeat:
            return
        told = self._patiently(self._frozen).intermediate_values
        for each in [each for each in evals if each.index not in told]:
            self._tell(each)
            # Halving notes in the trial what it is asked about, so it is asked about all. What an earlier attempt was
            # let pass is not taken back: others may have ended meanwhile.
            if self._patiently(self._is_worse) and each is evals[-1]:
                raise Pruned(step=each.step, loss=each.loss)

    def _tell(self, found: Eval) -> None:
        storage = self._study._storage  # noqa: SLF001 - `Trial.report` only warns where a call is repeated
        number = self._trial._trial_id  # noqa: SLF001
        value = self._sign * found.loss
        self._patiently(lambda: storage.set_trial_intermediate_value(number, found.index, value))

    def _is_worse(self) -> bool:
        return bool(self._pruner.prune(_lasting(self._study), _by_root(self._frozen())))

    def _frozen(self) -> Any:
        return self._study.get_trials(deepcopy=False)[self._trial.number]


def pruner_of(kind: Pruner, pruning: PruningConfig, *, n_evals: int) -> Any:
    """Return Optuna's pruner, or None where nothing is pruned.

    Args:
        kind: study.pruner.
        pruning: Its settings.
        n_evals: train.evals, the last index that is measured.
    """
    from optuna import pruners

    make: dict[Pruner, Callable[[], Any]] = {
        Pruner.none: lambda: None,
        # Its warm-up counts indices below, and ours begin with 1.
        Pruner.median: lambda: pruners.MedianPruner(pruning.startup, n_warmup_steps=pruning.spared + 1),
        Pruner.halving: lambda: pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=pruning.one_in),
        Pruner.hyperband: lambda: pruners.HyperbandPruner(
            min_resource=1, max_resource=n_evals, reduction_factor=pruning.one_in
        ),
        Pruner.patience: lambda: pruners.PatientPruner(None, patience=pruning.patience),
    }
    with unwarned():
        return make[kind]()


class _Lasting:
    """Optuna's storage without the attempts that others follow; each trial has the number of its first attempt."""

    def __init__(self, storage: Any) -> None:
        self._real = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> list[Any]:
        """Return the trials, as Optuna's storages do."""
        every = self._real.get_all_trials(study_id, deepcopy=deepcopy, states=states)
        return [_by_root(trial) for trial in every if not superseded(trial)]


def _lasting(study: Any) -> Any:
    from optuna import Study

    return Study(study_name=study.study_name, storage=_Lasting(study._storage))  # noqa: SLF001


def _by_root(trial: Any) -> Any:
    seen = copy.copy(trial)
    seen.number = root(trial)
    return seen
