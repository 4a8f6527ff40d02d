"""The whole configuration: one trial's recipe, and how a study of such trials is run."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tune.config.data import DataConfig
from tune.config.evaluation import EvaluateConfig
from tune.config.guards import GuardConfig
from tune.config.model import ModelConfig
from tune.config.objective import ObjectiveConfig
from tune.config.pruning import Pruner, PruningConfig
from tune.config.recipe import LoraConfig, QuantizationConfig, TrainConfig
from tune.config.replies import RepliesConfig
from tune.config.sheet import SheetConfig
from tune.config.workers import RetriesConfig, WorkersConfig


class Sampler(StrEnum):
    """How the next point is chosen."""

    grid = "grid"
    """Every combination once, in order."""

    random = "random"
    tpe = "tpe"
    """Tree-structured Parzen estimator, Bergstra et al. 2011."""

    gp = "gp"
    """A Gaussian process of the objective, and where it may be best; for few and costly trials."""

    qmc = "qmc"
    """Points spread more evenly than at random: Sobol's sequence, scrambled by study.seed."""

    cmaes = "cmaes"
    """Evolution with an adapted covariance, Hansen 2016, https://arxiv.org/abs/1604.00772.

    It searches ranges; lists are drawn at random beside it. For many trials.
    """

    nsga2 = "nsga2"
    """Generations bred from what no other point beats, Deb et al. 2002, https://doi.org/10.1109/4235.996017.

    For several objectives. It breeds keys that exist at every point; others are drawn at random beside it.
    """


@dataclass(kw_only=True, slots=True)
class StudyConfig:
    """How a sweep is run."""

    name: str | None = None
    """Name of the study; the sweep's name if not set."""

    sampler: Sampler = Sampler.tpe
    """How the next point is chosen: grid, random, tpe, gp, qmc, cmaes or nsga2."""

    n_trials: int | None = None
    """Trials in all, each of a point's seeds counted, over every start of this study; null for all cells of a grid.

    At least 1.
    """

    budget: str | None = None
    """Time that the study may run, over all its starts, as in 2h, 1h30m or 45s; null: no limit.

    When it is used, trials that run are interrupted with a checkpoint, and the study is reported as it stands.
    """

    seed: int = 0
    """Seeds the sampler."""

    population: int = 8
    """Complete trials of a generation, and parents of the next one; nsga2 alone reads it. At least 2."""

    pruner: Pruner = Pruner.none
    """What stops a trial that does badly: none, median, halving, hyperband or patience."""

    pruning: PruningConfig = field(default_factory=PruningConfig)

    storage: str | None = None
    """Database of the study (an SQLAlchemy URL); null for the environment variable TUNE_STORAGE, else sqlite here."""

    storage_wait_s: float = 300.0
    """How long a study waits for a database that is away before it gives up. At least 0."""

    free_gib: float = 0.5
    """No trial is started while the disk of the runs folder has less room than this. At least 0."""

    require_verdict: bool = False
    """End with exit code 3 where nothing may be shipped: the verdict is NO or INSUFFICIENT. Of a single trial too."""

    retries: RetriesConfig = field(default_factory=RetriesConfig)


@dataclass(kw_only=True, slots=True)
class TrackConfig:
    """Where studies and runs are recorded."""

    folder: str | None = None
    """Folder of studies, databases and artifacts; null for mlruns/ of the checkout, or here."""

    uri: str | None = None
    """MLflow server to record in, an http or https address; null: `TUNE_TRACKING_URI`, else sqlite in the folder."""

    experiment: str = "tune"
    """MLflow experiment that the runs are listed under."""

    port: int = 5000
    """Where `python -m tune ui` shows them, on this machine alone. From 1 to 65535."""


@dataclass(kw_only=True, slots=True)
class SweepConfig:
    """What to search, and for what."""

    name: str
    """Name of the sweep, and of its study unless `study.name` says otherwise."""

    question: str = ""
    """What the sweep answers, in one sentence."""

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """What is maximized or minimized."""

    objectives: list[ObjectiveConfig] = field(default_factory=list)
    """Two or more, in the place of objective: `[{metric: task/score}, {metric: cost/seconds, direction: minimize}]`.

    None is traded for another: the study ends with its Pareto front, the trials that no other is better than in one
    and at least as good as in all. Reports order it by the first.
    """

    guards: list[GuardConfig] = field(default_factory=list)
    """How far changes may go, as `[{metric: mmlu/delta, at_least: -0.02}]`: the best trial that keeps them wins."""

    space: dict[str, Any] = field(default_factory=dict)
    """Key of the configuration → what it may be:

    `[4, 8, 16]`: one of these; for a config group (`quantization: [none, nf4]`), one of its options, whose YAML
    stands below everything that the user and the sweep set.
    `{low: 1e-5, high: 3e-3, log: true}` or `{low: 0.0, high: 0.1, step: 0.05}`: a number, both ends included.
    `{times: lora.rank, choices: [1, 2]}`: another key's value times one of these.
    `{choices: [true, false], when: {quantization.kind: [nf4]}}`: only where the other key, searched or not, has one of
    these values; elsewhere the configured value stands. Numbers and ties take `when` too.
    """

    reject: Any = field(default_factory=list)
    """Expressions, or one; a point for which one is true is never run: `lora.rank > 32 and data.n_train < 500`.

    Keys, numbers, 'quoted texts', true, false, null, [lists], == != < <= > >= in, + - * / // %, and, or, not,
    parentheses. A grid leaves such cells out; a sampler is told of them. An order with a key that is null is false.
    """

    first: list[dict[str, Any]] = field(default_factory=list)
    """Points of the space to try first, key → value; what one leaves out is drawn."""

    seeds: list[int] = field(default_factory=list)
    """Every point is run with each of these, and its objective is the mean: `[0, 1, 2]`; none: `seed` alone.

    A sampler that learns gives further seeds to contenders alone. Each is a trial of its own, at least 0 and once here.
    """

    options: dict[str, Any] = field(default_factory=dict)
    """Group → option → key → value: what the searched options set. Filled in when the sweep is composed."""

    @property
    def all_objectives(self) -> list[ObjectiveConfig]:
        """Return what the search is about: one, or several."""
        return self.objectives or [self.objective]


class ReportFormat(StrEnum):
    """How `report` prints a study."""

    table = "table"
    json = "json"


@dataclass(kw_only=True, slots=True)
class ReportConfig:
    """How `report` prints a study."""

    format: ReportFormat = ReportFormat.table
    """table for people, json for programs."""


@dataclass(kw_only=True, slots=True)
class PlanConfig:
    """What `plan` does beside estimating."""

    probe: bool = True
    """Measure seconds a step with a few real ones, and how long a part of the evaluation takes."""

    price_per_hour: float | None = None
    """What an hour of the machine costs, in any currency; the plan says what the study would. At least 0."""


@dataclass(kw_only=True, slots=True)
class DoctorConfig:
    """What `doctor` does about what it finds."""

    fix: bool = False
    """Mend it; else it is only said."""


@dataclass(kw_only=True, slots=True)
class CleanConfig:
    """What `clean` removes."""

    yes: bool = False
    """Remove without asking, as it must be where there is no terminal."""

    keep_adapters: int | None = None
    """Keep the adapters of so many best trials and free the others; null keeps all. At least 0.

    With several objectives the Pareto front comes first, by the first objective.
    """


@dataclass(kw_only=True, slots=True)
class Config:
    """Everything; conf/config.yaml is its table of contents."""

    seed: int = 0
    """Seeds the trial: adapter, order of examples, dropout. At least 0."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    quantization: QuantizationConfig = field(default_factory=QuantizationConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    study: StudyConfig = field(default_factory=StudyConfig)
    workers: WorkersConfig = field(default_factory=WorkersConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    replies: RepliesConfig = field(default_factory=RepliesConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    doctor: DoctorConfig = field(default_factory=DoctorConfig)
    clean: CleanConfig = field(default_factory=CleanConfig)
    sheet: SheetConfig = field(default_factory=SheetConfig)
    sweep: SweepConfig | None = None
    """Set by `+sweep=NAME`."""
