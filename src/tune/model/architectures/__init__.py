"""The sizes of a model that is not there: its config.json in a local folder, else a shipped copy of the sizes."""

import json
from pathlib import Path
from typing import Any

from tune.config.model import ModelConfig
from tune.errors import ConfigError

_SHIPPED = Path(__file__).parent


def shipped() -> dict[str, Path]:
    """Return the files of sizes by the models they belong to: hub ids and embedded names."""
    return {json.loads(path.read_text(encoding="utf-8"))["of"]: path for path in sorted(_SHIPPED.glob("*.json"))}


def read_architecture(model: ModelConfig) -> Any:
    """Return the transformers configuration of a model; no weights are read and nothing is fetched.

    Raises:
        ConfigError: There is no config.json in the folder, and no shipped copy for the hub id.
    """
    if model.path is None and model.embedded == "tiny":
        return _tiny()
    folder = Path(model.path).expanduser() if model.path else None
    if folder is not None and folder.is_dir():
        return _of_folder(folder, model)
    named = model.path or model.embedded or ""
    if named in (there := shipped()):
        return _of_file(there[named])
    return _of_cache(named, model)


def _tiny() -> Any:
    from transformers import LlamaConfig

    from tune.model.tiny import N_TOKENS, SHAPE

    return LlamaConfig(vocab_size=N_TOKENS, bos_token_id=None, eos_token_id=None, pad_token_id=None, **SHAPE)


def _of_folder(folder: Path, model: ModelConfig) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=model.runs_own_code)
    except (OSError, ValueError, KeyError) as error:
        msg = (
            f"model.path={model.path}: its config.json cannot be read ({str(error).splitlines()[0]}). "
            "Copy it again, or use a transformers version that knows it."
        )
        raise ConfigError(msg) from error


def _of_file(path: Path) -> Any:
    from transformers import AutoConfig

    sizes = json.loads(path.read_text(encoding="utf-8"))
    return AutoConfig.for_model(sizes.pop("model_type"), **{key: sizes[key] for key in sizes if key != "of"})


def _of_cache(named: str, model: ModelConfig) -> Any:
    """Return the configuration in the hub's cache on this machine."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            named, revision=model.revision, local_files_only=True, trust_remote_code=model.runs_own_code
        )
    except (OSError, ValueError, KeyError) as error:
        msg = (
            f"model.path={named}: its sizes are not known here. Sizes are shipped for {', '.join(shipped())}; "
            "for another model give a folder that holds its config.json."
        )
        raise ConfigError(msg) from error
