"""What a sampler is shown of a study, where that is not what Optuna keeps of it."""

import copy
from collections.abc import Callable, Mapping
from typing import Any


class View:
    """An Optuna study with other trials.

    Args:
        study: The one that is looked at.
        seen: Returns, of its trials, those that are to be seen.
    """

    def __init__(self, study: Any, seen: Callable[[list[Any]], list[Any]]) -> None:
        self._real = study
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @property
    def trials(self) -> list[Any]:
        """Return the trials."""
        return self.get_trials()

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[Any]:  # noqa: ARG002 - as Optuna's
        """Return the trials, as Optuna's studies do."""
        seen = self._seen(self._real.get_trials(deepcopy=False))
        return [trial for trial in seen if states is None or trial.state in states]

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[Any]:  # noqa: ARG002
        return self.get_trials(deepcopy=deepcopy, states=states)


def with_constraints(trial: Any, constraints: Mapping[str, float]) -> Any:
    """Return a copy of a trial with other constraints: 0 or less is allowed."""
    from optuna.study._constrained_optimization import _CONSTRAINTS_KEY

    seen = copy.copy(trial)
    kept = {name: attr for name, attr in trial.system_attrs.items() if not name.startswith(_CONSTRAINTS_KEY)}
    seen.system_attrs = kept | {f"{_CONSTRAINTS_KEY}:{name}": value for name, value in constraints.items()}
    return seen


def through(sampler: Any, view: Callable[[Any], Any]) -> Any:
    """Return a sampler that chooses by what it sees of the study.

    Args:
        sampler: Optuna's, which chooses.
        view: Returns what it sees of a study.
    """
    import optuna

    class Through(optuna.samplers.BaseSampler):  # type: ignore[misc] # optuna is late and untyped here
        """Lets another sampler choose."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            """Return what the sampler draws together."""
            return sampler.infer_relative_search_space(view(study), trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            """Return what it draws together."""
            return sampler.sample_relative(view(study), trial, search_space)

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            """Return one parameter that it draws alone."""
            return sampler.sample_independent(view(study), trial, param_name, param_distribution)

        def before_trial(self, study: Any, trial: Any) -> None:
            """Let the sampler make ready."""
            sampler.before_trial(view(study), trial)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            """Let the sampler note what it needs."""
            sampler.after_trial(view(study), trial, state, values)

    return Through()
