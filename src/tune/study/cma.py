"""CMA-ES whose state is kept as JSON.

Optuna keeps it as a pickle in the study's database, and whoever may write there could run code on every worker.
"""

import copy
import json
import warnings
from typing import Any

from tune.study.attempts import root

_ARRAY = "array"


def cma_sampler(seed: int) -> Any:
    """Return Optuna's CMA-ES; it goes on with the state that an earlier draw left in the storage.

    Args:
        seed: Of this draw.
    """
    import cmaes
    import optuna

    class PlainCmaEs(optuna.samplers.CmaEsSampler):  # type: ignore[misc] # optuna is late and untyped here
        """Writes and reads its state without pickles."""

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            """Return what is drawn together, by the seed alone; an attempt's number, which Optuna adds, moves it."""
            self._raise_error_if_multi_objective(study)
            unnumbered = copy.copy(trial)
            unnumbered.number = 0
            return super().sample_relative(study, unnumbered, search_space)

        def _get_trials(self, study: Any) -> Any:
            """Return what has a value; who follows another attempt belongs to the generation that drew the point."""
            every = study._storage.get_all_trials(study._study_id, deepcopy=False)  # noqa: SLF001
            drew = {root(t): t.system_attrs[_GENERATION] for t in every if _GENERATION in t.system_attrs}
            return [_of_generation(trial, drew.get(root(trial))) for trial in super()._get_trials(study)]

        def _init_optimizer(self, *args: Any) -> Any:
            self._live = super()._init_optimizer(*args)
            return self._live

        def _restore_optimizer(self, completed_trials: Any) -> Any:
            for trial in reversed(completed_trials):
                parts = {name: part for name, part in trial.system_attrs.items() if name.startswith(_PARTS)}
                if parts:
                    self._live = cmaes.CMA.__new__(cmaes.CMA)
                    self._live.__setstate__(_lively(json.loads(self._concat_optimizer_attrs(parts))))
                    return self._live
            return None

        def _split_optimizer_str(self, _pickled: str) -> dict[str, str]:
            # Told right after the draw's optimizer has learned, and that one was begun or restored above.
            state = json.dumps(_plain(self._live.__getstate__()))
            split: dict[str, str] = super()._split_optimizer_str(state)
            return split

        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            """Note nothing, and do not warn that constraints are passed over: what breaks one here has no value."""
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Constraints have been set", UserWarning)
                super().after_trial(study, trial, state, values)

    # Choices are drawn at random beside it; the rules say so where nothing but choices is searched.
    return PlainCmaEs(seed=seed, warn_independent_sampling=False)


_PARTS = "cma:optimizer:"
"""How Optuna's attributes with the state begin."""


_GENERATION = "cma:generation"


def _of_generation(trial: Any, generation: int | None) -> Any:
    if generation is None or _GENERATION in trial.system_attrs:
        return trial
    seen = copy.copy(trial)
    seen.system_attrs = {**trial.system_attrs, _GENERATION: generation}
    return seen


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    return {
        name: {_ARRAY: value.tolist()}
        if isinstance(value, np.ndarray)
        else value.item()
        if isinstance(value, np.generic)
        else value
        for name, value in state.items()
    }


def _lively(state: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    return {name: np.array(value[_ARRAY]) if isinstance(value, dict) else value for name, value in state.items()}
