"""Where the base comes from, checked before torch is imported: an embedded name, a local folder or a hub id."""

import re
from pathlib import Path

from tune.config.model import ModelConfig
from tune.errors import ConfigError, nearest
from tune.model import trust

EMBEDDED = ("smollm2_135m", "tiny")
"""Models that need no hub."""

_N_NAMES = 6  # of a folder, in a message
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def resolve_source(model: ModelConfig) -> str | Path:
    """Return the local folder as a Path, else the hub id or, where no path is set, the embedded model's name.

    Raises:
        ConfigError: Neither is set, or it names nothing that can be loaded.
    """
    check_source(model)
    if model.path is None:
        assert model.embedded is not None
        return model.embedded
    return _folder(model.path) if _is_local(model.path) else model.path


def check_source(model: ModelConfig) -> None:
    """Refuse a base that cannot be loaded; reads a folder's names and config.json, no weights.

    Raises:
        ConfigError: The key, its value and what would be allowed.
    """
    if model.path is None:
        _check_embedded(model.embedded)
    elif _is_local(model.path):
        _check_local(model, model.path)
    elif not _HUB_ID.fullmatch(model.path):
        msg = (
            f"model.path={model.path} is neither a folder that exists nor a hub id (OWNER/NAME). "
            "Give a folder with config.json and *.safetensors, or leave it out for an embedded model."
        )
        raise ConfigError(msg)


def check_folder(folder: Path, model: ModelConfig) -> None:
    """Refuse a folder without a plain safetensors model, or with something that is no data.

    Args:
        folder: Where the files are.
        model: What the user wrote, for the message; and whether the model's own code may run.

    Raises:
        ConfigError: config.json or the safetensors are missing, the weights are quantized already, or loading
            would run code or read a pickle.
    """
    path = model.path or str(folder)
    if not (folder / "config.json").is_file():
        msg = f"model.path={path} has no config.json, so it is not a transformers model. Found: {_names(folder)}."
        raise ConfigError(msg)
    if not any(folder.glob("*.safetensors")):
        msg = f"model.path={path} has no *.safetensors. {_missing_weights(folder)}"
        raise ConfigError(msg)
    if _is_quantized(folder):
        msg = (
            f"model.path={path} is quantized already (config.json has quantization_config), so its base scores would "
            "carry the wrong label. Take the original weights; quantization=nf4 quantizes them while loading."
        )
        raise ConfigError(msg)
    is_local = model.path is None or _is_local(model.path)
    trust.check_folder(folder, path=path, own_code=model.runs_own_code, is_local=is_local)


def _check_embedded(name: str | None) -> None:
    if name is None:
        msg = f"neither model.path nor model.embedded is set. Set model.path=FOLDER or one of: {', '.join(EMBEDDED)}."
        raise ConfigError(msg)
    if name not in EMBEDDED:
        msg = f"model.embedded={name} is not known. {nearest(name, EMBEDDED)} Other models: model.path=FOLDER."
        raise ConfigError(msg)


def _check_local(model: ModelConfig, path: str) -> None:
    folder = _folder(path)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        msg = (
            f"model.path={path}: {folder} {what}. Give a folder with config.json and *.safetensors, "
            "a hub id (OWNER/NAME), or leave it out for an embedded model."
        )
        raise ConfigError(msg)
    if model.revision is not None:
        msg = (
            f"model.revision={model.revision} is for hub models, but model.path={path} is a local folder. "
            "Leave model.revision out."
        )
        raise ConfigError(msg)
    check_folder(folder, model)


def _is_local(path: str) -> bool:
    """What looks like a path is one, so that a misspelt folder is never looked up on the hub."""
    return path.startswith((".", "/", "~")) or "\\" in path or Path(path).exists()


def _folder(path: str) -> Path:
    return Path(path).expanduser().resolve()


def _missing_weights(folder: Path) -> str:
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
        return (
            "Its weights are pickles, which can run code when they are loaded, so they are refused. "
            "Load it once where you trust it and save it again: save_pretrained writes safetensors."
        )
    return f"Found: {_names(folder)}."


def _is_quantized(folder: Path) -> bool:
    return "quantization_config" in trust.read_object(folder / "config.json")


def _names(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    shown, rest = names[:_N_NAMES], len(names) - _N_NAMES
    return (", ".join(shown) or "nothing") + (f" and {rest} more" if rest > 0 else "")
