"""A model's files on this machine, fetched from the hub where they are not here yet; torch is not imported."""

from pathlib import Path

from tune.config.model import ModelConfig
from tune.errors import AssetError
from tune.model.source import check_folder


def local_folder(folder: Path | str, model: ModelConfig) -> Path:
    """Return where the files are, fetched from the hub if need be.

    Args:
        folder: Local folder of the model, or a hub id.
        model: Its revision, and whether its own code may run; only then is that fetched.

    Raises:
        AssetError: The hub does not give them.
        ConfigError: They make up no plain safetensors model.
    """
    local = Path(folder) if Path(folder).is_dir() else _snapshot(str(folder), model)
    check_folder(local, model)
    return local


def _snapshot(hub_id: str, model: ModelConfig) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
    revision = model.revision
    try:
        # Some repositories carry the weights twice, in another layout or in subfolders.
        found = snapshot_download(
            hub_id,
            revision=revision,
            allow_patterns=[*wanted, *(["*.py"] if model.runs_own_code else [])],
            ignore_patterns=["consolidated*", "*/*"],
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        at = f" at revision {revision}" if revision else ""
        msg = (
            f"model.path={hub_id} is no local folder, and the hub does not give it{at}: {first_line(error)} "
            "Check the name, log in with `hf auth login` if it is gated, or use model.path=FOLDER or an embedded model."
        )
        raise AssetError(msg) from error
    return Path(found)


def first_line(error: BaseException) -> str:
    """Return the first line of what a library says, as a sentence."""
    text = str(error).strip().splitlines()
    line = text[0].strip() if text else type(error).__name__
    return line if line.endswith(".") else f"{line}."
