"""Whether a reply has the form that was asked for: JSON, JSON of a schema, or what a regular expression says."""

import json
import re
from pathlib import Path
from typing import Any

from tune.errors import ConfigError

_FENCED = re.compile(r"```[ \t]*(?:json)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)


class NoJson(ValueError):  # noqa: N818 - a state of a reply, not a mistake
    """A reply that is none."""


def parse_json(reply: str) -> Any:
    """Return what a reply says in JSON: the whole of it, or its first fenced block; numbers such as NaN are none.

    Raises:
        NoJson: It is none.
    """
    fenced = _FENCED.search(reply)
    try:
        return json.loads(fenced.group(1) if fenced else reply, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NoJson(str(error)) from error


def is_json(reply: str) -> bool:
    """Return whether a reply is JSON."""
    try:
        parse_json(reply)
    except NoJson:
        return False
    return True


def fits(reply: str, validator: Any) -> bool:
    """Return whether a reply is JSON that a schema's validator accepts; what is too deep or too large for it is not."""
    try:
        return bool(validator.is_valid(parse_json(reply)))
    except (NoJson, RecursionError, OverflowError):
        return False


def read_schema(file: Path) -> dict[str, Any] | bool:
    """Return a JSON schema.

    Raises:
        ConfigError: It cannot be read, is no JSON, no schema of its draft, or refers to something outside itself.
    """
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"data.scoring.json_schema={file} cannot be read: {error}. Name a file that holds a JSON schema."
        raise ConfigError(msg) from error
    _check_schema(schema, file)
    return schema  # type: ignore[no-any-return]  # what check_schema accepts is an object or a truth value


def validator_of(schema: dict[str, Any] | bool) -> Any:
    """Return what checks values; it fetches nothing: a reference leads into the schema itself or nowhere."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from jsonschema_specifications import REGISTRY

    return validator_for(schema, default=Draft202012Validator)(schema, registry=REGISTRY)


def _check_schema(schema: Any, file: Path) -> None:
    from jsonschema.exceptions import SchemaError

    checker = validator_of(schema if isinstance(schema, dict) else True)
    try:
        type(checker).check_schema(schema)
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "the whole"
        msg = f"data.scoring.json_schema={file} is no JSON schema: {error.message} ({where}). Mend it."
        raise ConfigError(msg) from error
    for reference in _references(schema):
        if not _leads_inside(reference, schema):
            msg = (
                f"data.scoring.json_schema={file} refers to {reference}, which is not in it; nothing is fetched from "
                "elsewhere. Put that part into the file, under $defs, and refer to it as #/$defs/NAME."
            )
            raise ConfigError(msg)


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [one for item in node for one in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("$ref", "$dynamicRef") if isinstance(node.get(key), str)]
    return own + [one for item in node.values() for one in _references(item)]


def _leads_inside(reference: str, schema: Any) -> bool:
    from jsonschema_specifications import REGISTRY
    from referencing import Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resource = Resource.from_contents(schema, default_specification=DRAFT202012)
    name = resource.id() or "urn:schema"
    try:
        REGISTRY.with_resource(name, resource).resolver(name).lookup(reference)
    except (Unresolvable, ValueError):
        return False
    return True


def _refuse(constant: str) -> None:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)
