"""What a worker keeps between trials: the base in memory, and the task that all of them are asked."""

from dataclasses import dataclass
from pathlib import Path

from tune.config.schema import Config
from tune.data.template import apply_template
from tune.model.load import Base, load_base
from tune.model.quantize import import_quietly
from tune.trial.meter import give_back_freed
from tune.trial.task import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What a worker keeps between trials: the base in memory and the task."""

    base: Base
    task: Task
    folder: Path
    """Of the model."""

    model_key: str
    """Which model, quantization and chat template the base has; another trial may ask for another."""


def open_bench(config: Config, task: Task, *, folder: Path | str) -> Bench:
    """Load the base, and let its tokenizer write with data.template.

    Raises:
        AssetError: The model cannot be loaded.
        DataError: The chat template does not fit it.
    """
    quiet_libraries()
    base = load_base(config.model, config.quantization, folder=folder)
    give_back_freed()
    apply_template(base.tokenizer, config.data.template)
    return Bench(base=base, task=task, folder=Path(folder), model_key=model_key(config))


def model_key(config: Config) -> str:
    """Return what tells one loaded base from another."""
    return repr((config.model, config.quantization, config.data.template))


def quiet_libraries() -> None:
    """Let libraries speak only when something is wrong; tune reports progress itself."""
    import_quietly()
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
