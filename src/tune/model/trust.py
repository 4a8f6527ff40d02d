"""What in a model's folder is no data: Python code of its own, pickles, and files of somebody else.

transformers refuses most of it too, but late, in other words, and not all: an index may name pickles as
shards, config.json may name one as the weights, or a kernel from the hub that is fetched and run. So a folder is
read here first, without torch. Nothing of it is run and no pickle is opened.
"""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tune.errors import ConfigError

_PLAIN_SHARD = re.compile(r"[\w.-]+\.safetensors")
_HEADER_BYTES = 100_000_000  # the format's own limit


def check_folder(folder: Path, *, path: str, own_code: bool, is_local: bool) -> None:
    """Refuse a folder that would run code, or read a pickle, when it is loaded.

    Args:
        folder: Holds config.json and *.safetensors.
        path: What the user wrote as model.path.
        own_code: The user allowed this model's own code.
        is_local: The user keeps the folder; else it came from the hub, without any code unless that is allowed.

    Raises:
        ConfigError: What was found, what it would do, and a way out.
    """
    config = read_object(folder / "config.json")
    tokenizer = folder / "tokenizer_config.json"
    settings = [config, *([read_object(tokenizer)] if tokenizer.is_file() else [])]
    _check_code(settings, path=path, own_code=own_code, is_local=is_local)
    _check_kernels(config, path)
    _check_named_weights(folder, config, path)
    if (folder / "adapter_config.json").is_file():
        msg = (
            f"model.path={path} holds an adapter (adapter_config.json), which would be loaded over the base "
            "in silence. Give a folder with the base alone: move adapter_config.json and adapter_model.* out."
        )
        raise ConfigError(msg)
    for file in sorted(folder.glob("*.safetensors")):
        _check_header(file)


def read_object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ConfigError: It holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"{file} is not JSON: {error}. Copy the model again."
        raise ConfigError(msg) from error
    if not isinstance(content, dict):
        msg = f"{file} is JSON, but no object with keys. Copy the model again."
        raise ConfigError(msg)
    return content


def _check_code(settings: list[dict[str, Any]], *, path: str, own_code: bool, is_local: bool) -> None:
    maps = [value for config in settings for value in _values(config, "auto_map")]
    if not maps:
        return
    references = sorted({text for value in maps for text in _texts(value)})
    if own_code:
        # OWNER/NAME--module.Class is code of another repository, which nobody allowed.
        foreign = [text for text in references if "--" in text and text.split("--")[0] != path]
        if foreign:
            msg = (
                f"model.path={path} wants to run Python code of another model ({foreign[0]}), and "
                f"model.code_from={path} allows that model's own alone. Copy the code you trust into a folder of "
                "yours, beside the weights, and name that as model.path and model.code_from."
            )
            raise ConfigError(msg)
        return
    if is_local or not _is_known(settings[0].get("model_type")):
        msg = (
            f"model.path={path} wants to run Python code that comes with it (auto_map: {', '.join(references[:2])}), "
            f"which could do anything that you may do. If you have read and trust it, allow it for this one model: "
            f"model.code_from={path}. Else take a model that transformers knows"
            f"{', or delete auto_map where transformers has a class of its own for this one' if is_local else ''}."
        )
        raise ConfigError(msg)


def _check_kernels(config: dict[str, Any], path: str) -> None:
    keys = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
    named = [text for key in keys for value in _values(config, key) for text in _texts(value) if "/" in text]
    if named:
        msg = (
            f"model.path={path} names a program to compute attention with ({named[0]}), which would be fetched from "
            "the hub and run. Take attn_implementation out of its config.json: torch's own is used then."
        )
        raise ConfigError(msg)


def _check_named_weights(folder: Path, config: dict[str, Any], path: str) -> None:
    """The weights are the folder's own *.safetensors, whatever config.json or an index says."""
    explicit = config.get("transformers_weights")
    named = [] if explicit is None else [("config.json", str(explicit))]
    for index in sorted(folder.glob("*.safetensors.index.json")):
        shards = read_object(index).get("weight_map")
        named += [(index.name, str(name)) for name in (shards.values() if isinstance(shards, dict) else [shards])]
    for file, name in named:
        is_index = file == "config.json" and name.endswith(".safetensors.index.json") and "/" not in name
        if not _PLAIN_SHARD.fullmatch(name) and not is_index:
            msg = (
                f"model.path={path}: {file} names {name} as weights, but only *.safetensors of the folder itself are "
                "read: other files may be pickles, which can run code. Save the model again with save_pretrained."
            )
            raise ConfigError(msg)


def _check_header(file: Path) -> None:
    """A safetensors file begins with the length of a JSON object, 8 bytes, and that object."""
    with file.open("rb") as stream:
        length, first = int.from_bytes(stream.read(8), "little"), stream.read(1)
    if first != b"{" or length > _HEADER_BYTES:
        msg = (
            f"{file} is no safetensors file, whatever its name: it is damaged, a pickle (which can run code, so it is "
            "not opened), or a pointer that Git LFS left there (`git lfs pull` fetches the file). Copy it again."
        )
        raise ConfigError(msg)


def _is_known(model_type: object) -> bool:
    """Return whether transformers has a class of its own for a type of model; it is looked for, not imported."""
    spec = find_spec("transformers")
    if not isinstance(model_type, str) or not re.fullmatch(r"[\w-]+", model_type) or spec is None:
        return False
    name = model_type.replace("-", "_")
    return any((Path(place) / "models" / name).is_dir() for place in spec.submodule_search_locations or ())


def _values(node: object, key: str) -> Iterator[object]:
    """Give what stands under a key, at any depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from _values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value, key)


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _texts(value)
