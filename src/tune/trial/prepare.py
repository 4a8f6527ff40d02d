"""The training tokens of a configuration: where the data and the model's tokenizer meet, before torch is needed."""

from pathlib import Path
from typing import Any

from tune.config.schema import Config
from tune.data.listener import Listener
from tune.data.splits import Splits
from tune.data.template import apply_template
from tune.data.template_check import check_template
from tune.data.tokens import TokenTable, training_tokens
from tune.model.digest import tokenizer_digest
from tune.model.load import load_tokenizer


def prepare_tokens(config: Config, splits: Splits, folder: Path, listener: Listener) -> TokenTable:
    """Return the tokens of the training split; they are made once for all trials and workers.

    Args:
        config: Its data, model and train.max_length.
        splits: The data.
        folder: Of the model.
        listener: Is told how far it is.

    Raises:
        DataError: There is no chat template, it is another model family's or does not fit the rows, or every example is
            too long.
        AssetError: The tokenizer cannot be loaded, or the cache not be written.
    """

    def tokenizer() -> Any:
        loaded = load_tokenizer(config.model, folder)
        apply_template(loaded, config.data.template)
        check_template(loaded, splits.train, config.data.learn)
        return loaded

    return training_tokens(
        splits,
        config.data,
        max_length=config.train.max_length,
        tokenizer_digest=tokenizer_digest(folder),
        tokenizer=tokenizer,
        listener=listener,
    )
