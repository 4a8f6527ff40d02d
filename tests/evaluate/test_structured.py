"""Replies that should be JSON, or JSON of a schema."""

import json
from pathlib import Path

import pytest

from tune.errors import ConfigError
from tune.evaluate.structured import fits, is_json, read_schema, validator_of

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/age"}},
    "required": ["name"],
    "$defs": {"age": {"type": "integer", "minimum": 0}},
}


@pytest.mark.parametrize(
    ("reply", "valid"),
    [
        ('{"a": [1, 2.5, null]}', True),
        ('  {"a": 1}\n', True),
        ('Here it is:\n```json\n{"a": 1}\n```\nas you asked', True),
        ("```\n[1]\n```", True),
        ("42", True),
        ("", False),
        ('{"a": 1,}', False),
        ("{'a': 1}", False),
        ('{"a": NaN}', False),
        ('Sure! {"a": 1}', False),
        ('{"a": 1', False),
        ("[" * 100_000, False),
        ("9" * 10_000, False),  # more digits than Python turns into a number
    ],
)
def test_what_is_json(reply: str, valid: bool) -> None:
    assert is_json(reply) is valid


@pytest.fixture
def person(tmp_path: Path) -> Path:
    file = tmp_path / "person.json"
    file.write_text(json.dumps(PERSON))
    return file


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ('{"name": "Ada", "age": 36}', True),
        ('{"name": "Ada"}', True),
        ('{"age": 36}', False),
        ('{"name": "Ada", "age": -1}', False),
        ('{"name": "Ada", "age": "36"}', False),
        ("Ada", False),
    ],
)
def test_a_schema_by_hand(person: Path, reply: str, right: bool) -> None:
    assert fits(reply, validator_of(read_schema(person))) is right


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ('{"type": "objekt"}', "is no JSON schema.*objekt.*type"),
        ("[1]", "is no JSON schema"),
        ('{"$ref": "#/$defs/nobody"}', "refers to #/\\$defs/nobody, which is not in it"),
        ('{"items": {"$ref": "http://127.0.0.1:9/x.json"}}', "refers to http://127.0.0.1:9/x.json"),
    ],
)
def test_a_schema_that_cannot_be_used(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "schema.json"
    file.write_text(content)

    with pytest.raises(ConfigError, match=said):
        read_schema(file)


def test_a_schema_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json cannot be read"):
        read_schema(tmp_path / "nowhere.json")


def test_the_published_drafts_may_be_referred_to(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"$ref": "https://json-schema.org/draft/2020-12/schema"}')

    validator = validator_of(read_schema(file))

    assert [fits(reply, validator) for reply in ('{"type": "string"}', '{"type": "strin"}')] == [True, False]
