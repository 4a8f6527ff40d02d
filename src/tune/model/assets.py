"""Models that need no hub: made once, kept in the cache, shared by every process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tune import paths
from tune.errors import AssetError, nearest
from tune.kept import Announce, make_once
from tune.model.source import EMBEDDED


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How one embedded model is made."""

    name: str
    """Name of its folder in the cache; another recipe has another name."""

    build: Callable[[Path, Announce], None]
    """Fills an empty folder with config, safetensors and tokenizer."""


def embedded_folder(name: str, *, texts: Sequence[str], announce: Announce) -> Path:
    """Return the folder of an embedded model, built first where the cache has none.

    Args:
        name: smollm2_135m or tiny.
        texts: What the tokenizer of tiny is trained on; not used by smollm2_135m.
        announce: Is told, in a sentence, whatever takes long: fetching, converting, waiting.

    Raises:
        AssetError: The model cannot be fetched, is not the one that was expected, or cannot be written.
    """
    recipe = _recipe(name, texts)
    folder = paths.cache_dir() / "models" / recipe.name
    try:
        make_once(folder, lambda beside: recipe.build(beside, announce), announce=announce)
    except OSError as error:
        msg = (
            f"cannot write the model {name} to the cache {paths.cache_dir()}: {error.strerror or error}. "
            "Make room or name another folder with the environment variable TUNE_CACHE."
        )
        raise AssetError(msg) from error
    return folder


def _recipe(name: str, texts: Sequence[str]) -> Recipe:
    if name == "smollm2_135m":
        from tune.model import smollm2

        return Recipe(name=smollm2.FOLDER, build=smollm2.build)
    if name == "tiny":
        from tune.model import tiny

        return Recipe(
            name=tiny.folder_name(texts), build=lambda folder, announce: tiny.build(folder, texts, announce=announce)
        )
    msg = f"model.embedded={name} is not known. {nearest(name, EMBEDDED)}"
    raise AssetError(msg)
