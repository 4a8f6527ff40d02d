"""Sobol's sequence, of which each draw of a study has its own point."""

from typing import Any

from tune.config.schema import Config
from tune.study.space import Space, suggest


def qmc_sampler(space: Space, config: Config, nth: int) -> Any:
    """Return Optuna's quasi-Monte Carlo sampler at one point of the scrambled sequence.

    Optuna's own counts in the study how often it was asked, and takes the dimensions from a trial that has ended: the
    same draw would have another point after a claim that was cut off, and several workers would begin at random.

    Args:
        space: What is drawn from; without conditions.
        config: Of the study; its seed scrambles the sequence.
        nth: Place of the draw in the sequence, from 0.
    """
    import optuna

    class NthPoint(optuna.samplers.QMCSampler):  # type: ignore[misc] # optuna is late and untyped here
        """Draws one point."""

        def infer_relative_search_space(self, _study: Any, _trial: Any) -> Any:
            """Return all dimensions of the space."""
            asked = optuna.create_study().ask()
            suggest(space, asked, config)
            return asked.distributions

        def _find_sample_id(self, _study: Any, _space: Any) -> int:
            return nth

    return NthPoint(scramble=True, seed=config.study.seed, warn_independent_sampling=False)
