"""What `python -m tune data` looks at: the splits, their tokens, and what they make advisable."""

from dataclasses import dataclass
from pathlib import Path

from tune.config.schema import Config
from tune.data.advice import advise
from tune.data.listener import Listener
from tune.data.splits import Splits
from tune.data.tokens import TokenTable
from tune.train.fit import steps_an_epoch
from tune.trial.prepare import prepare_tokens
from tune.trial.task import Task, model_folder, read_task


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspected:
    """A data set as training will see it."""

    task: Task
    model: Path
    """Folder of the model."""

    tokens: TokenTable
    advice: tuple[str, ...]
    """What the size of the data makes advisable, in sentences; nothing of it is applied."""

    @property
    def splits(self) -> Splits:
        """Return the data."""
        return self.task.splits


def inspect_data(config: Config, listener: Listener) -> Inspected:
    """Return the data of a configuration, read, cleaned, divided and tokenised.

    Raises:
        DataError: The data cannot be used.
        ConfigError: The model or its chat template cannot be used for it.
        AssetError: The model cannot be had, or the cache not be written.
    """
    task = read_task(config, listener)
    model = model_folder(config, announce=listener.announce)
    tokens = prepare_tokens(config, task.splits, model, listener)
    advice = advise(
        n_train=tokens.n_rows,
        n_tokens=tokens.n_tokens,
        steps_per_epoch=steps_an_epoch(config.train, tokens.n_rows),
        epochs=config.train.epochs,
        rank=config.lora.rank,
    )
    return Inspected(task=task, model=model, tokens=tokens, advice=tuple(advice))
