"""Replay +sweep=joint on recorded trainings, with and without pruning: the steps that are saved, and the regret.

A point that lies between two recorded learning rates has the curve between theirs. Sampler and pruner are the study's
own, on Optuna's storage in memory.
"""

import json
import math
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "surrogate_joint_tiny.json"
SEEDS = range(20)
ROWS: list[list[str]] = [
    [],
    ["study.pruner=median"],
    ["study.pruner=halving"],
    ["study.pruner=halving", "study.pruning.one_in=2"],
    ["study.pruner=halving", "study.n_trials=60"],
    ["study.pruner=hyperband"],
    ["study.pruner=hyperband", "study.n_trials=40"],
    ["study.pruner=patience"],
    ["study.sampler=gp", "study.pruner=halving", "study.n_trials=40"],
    ["study.sampler=cmaes", "study.pruner=halving", "study.n_trials=40"],
]
"""Without pruning; with it; and with it and as many more trials as the saved steps allow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One training."""

    steps: tuple[int, ...]
    """Optimizer steps after which the validation loss was measured, the last one's included."""

    losses: tuple[float, ...]
    """Nats a token."""


class Surrogate:
    """Recorded trainings, by point."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.words = list(table["words"])
        self._rates = sorted(table["rates"])
        self._curves: dict[tuple[Any, ...], Curve] = {}
        for row in table["rows"]:
            steps, losses = zip(*row["evals"], (row["steps"], row["loss"]), strict=True)
            self._curves[self._key(row["point"], row["point"]["train.learning_rate"])] = Curve(
                steps=tuple(steps), losses=tuple(losses)
            )

    @property
    def finals(self) -> list[float]:
        """Return the last losses, best first."""
        return sorted(curve.losses[-1] for curve in self._curves.values())

    def train(self, point: dict[str, Any]) -> Curve:
        """Return the curve at a point of the space."""
        rate = point["train.learning_rate"]
        above = next(known for known in self._rates if known >= rate * (1 - 1e-9))
        below = max((known for known in self._rates if known <= rate), default=above)
        low, high = (self._curves[self._key(point, known)] for known in (below, above))
        share = 0.0 if above == below else math.log(rate / below) / math.log(above / below)
        losses = (a + share * (b - a) for a, b in zip(low.losses, high.losses, strict=True))
        return Curve(steps=low.steps, losses=tuple(losses))

    @staticmethod
    def _key(point: dict[str, Any], rate: float) -> tuple[Any, ...]:
        return point["lora.rank"], point["lora.alpha"], point["lora.targets"], rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """What one study came to."""

    steps: int
    """Optimizer steps of all trials."""

    best: float
    """Loss of its best complete trial."""

    n_pruned: int


def read_table() -> Surrogate:
    """Return the recorded trainings."""
    return Surrogate(json.loads(TABLE.read_text()))


def replay(surrogate: Surrogate, *, seed: int, words: list[str]) -> Replay:
    """Return what +sweep=joint comes to on recorded trainings.

    Args:
        surrogate: The trainings.
        seed: study.seed.
        words: Further overrides, for example study.pruner=halving.
    """
    import optuna

    from tune.config import rules
    from tune.config.compose import compose
    from tune.errors import Pruned
    from tune.study.claim import draw_seed
    from tune.study.prune import Judge
    from tune.study.sampler import make_sampler
    from tune.study.space import parse_space, suggest
    from tune.train.evals import Eval

    config = compose(["+sweep=joint", *surrogate.words, f"study.seed={seed}", *_BY_LOSS, *words])
    rules.check(config)
    space = parse_space(config)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=f"joint-{seed}", direction="minimize")  # hyperband draws by the name
    steps, finals, n_pruned = 0, [], 0
    for number in range(config.study.n_trials or 0):
        own = draw_seed(seed, number)
        study.sampler = make_sampler(config.study.sampler, space, config, seed=own, nth=number)
        trial = study.ask()
        curve = surrogate.train(suggest(space, trial, config))
        *way, end = zip(curve.steps, curve.losses, strict=True)
        judge, evals = Judge(study, trial, config), []
        try:
            for index, (step, loss) in enumerate(way, start=1):
                evals.append(Eval(index=index, step=step, loss=loss))
                judge(evals)
        except Pruned as stopped:
            steps, n_pruned = steps + stopped.step, n_pruned + 1
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        steps += end[0]
        finals.append(end[1])
        study.tell(trial, end[1])
    return Replay(steps=steps, best=min(finals), n_pruned=n_pruned)


_BY_LOSS = ("sweep.objective.metric=eval/loss", "sweep.objective.direction=minimize")
"""The tiny model answers no question right, so its studies are about the loss."""


def main() -> None:
    """Print a row for each pruner."""
    if sys.argv[1:] == ["record"]:
        from surrogate_record import record

        record()
        return
    surrogate = read_table()
    finals = surrogate.finals
    spread = statistics.median(finals) - finals[0]
    print(f"{len(finals)} recorded trainings; best loss {finals[0]:.3f}, median {statistics.median(finals):.3f}")
    print(f"{'':48}{'steps':>8}  times fewer  pruned   regret: mean   worst   of the median's distance")
    plain = [replay(surrogate, seed=seed, words=[]) for seed in SEEDS]
    for words in ROWS:
        runs = [replay(surrogate, seed=seed, words=words) for seed in SEEDS] if words else plain
        steps, regrets = sum(run.steps for run in runs), [run.best - finals[0] for run in runs]
        ratio = sum(run.steps for run in plain) / steps
        mean, worst = statistics.fmean(regrets), max(regrets)
        n_pruned = statistics.fmean(run.n_pruned for run in runs)
        shown = f"{steps / len(runs):8.0f}  {ratio:11.2f}  {n_pruned:6.1f}  {mean:13.4f}  {worst:6.4f}"
        print(
            f"{' '.join(word.removeprefix('study.') for word in words) or 'no pruner':48}{shown}  {mean / spread:6.1%}"
        )


if __name__ == "__main__":
    main()
