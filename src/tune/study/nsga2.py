"""NSGA-II under claims by many workers: every trial belongs to a generation, and no point is bred twice."""

from typing import Any

_MOST_DRAWS = 100
"""Children that are drawn before one is taken that was tried before: a space of few points has no others left."""

_PARENTS = 2
"""Of one child."""


def nsga2_sampler(seed: int, population: int) -> Any:
    """Return Optuna's NSGA-II; which generation is bred, and from whom, stands in the storage.

    Of a few parameters all may come from one parent unchanged, and such a child of Optuna's own was tried before. Here
    a trial takes minutes, so it is drawn again.

    Args:
        seed: Of this draw.
        population: Complete trials of a generation, and parents of the next one.
    """
    import optuna

    class FreshNsga2(optuna.samplers.NSGAIISampler):  # type: ignore[misc] # optuna is late and untyped here
        """Breeds points that are new."""

        def before_trial(self, study: Any, trial: Any) -> None:
            """Note the generation, also of a trial whose point is given: without one it is no parent, however good."""
            super().before_trial(study, trial)
            self.get_trial_generation(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
            """Return a new child; nothing in the first generation."""
            generation = self.get_trial_generation(study, trial)
            parents = self.get_parent_population(study, generation)
            if len(parents) < _PARENTS or not search_space:
                return {}
            tried = [other.params for other in study.get_trials(deepcopy=False)]
            for _ in range(_MOST_DRAWS):
                child: dict[str, Any] = self._child_generation_strategy(study, search_space, parents)
                for name, distribution in search_space.items():  # in its order, which every process shares
                    if name not in child:  # mutated
                        child[name] = self.sample_independent(study, trial, name, distribution)
                if child not in tried:
                    break
            return child

    return FreshNsga2(seed=seed, population_size=population)
