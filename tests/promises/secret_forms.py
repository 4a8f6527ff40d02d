"""Secrets that are told from everything else, and the ways in which one may be written."""

import base64
import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus


def secret() -> str:
    """Return a new one: of no known token's shape, and with signs that addresses and JSON write otherwise."""
    return f'{secrets.token_hex(8)}/+"{secrets.token_hex(8)}'


def forms(value: str) -> Iterator[bytes]:
    """Yield a value as it is, as addresses and JSON write it, in hex, and in base64 wherever in a text it stood."""
    for form in (str, quote, quote_plus, lambda text: quote(text, safe=""), json.dumps):
        yield form(value).strip('"').encode()
    yield value.encode().hex().encode()
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # The first and the last signs depend on what stands around it.
            yield encode(b"-" * offset + value.encode())[4:-4]


def leaks(content: bytes, values: Mapping[str, str]) -> set[str]:
    """Return the names of the secrets that stand in a content."""
    return {name for name, value in values.items() for form in forms(value) if form in content}


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file below a folder with its bytes; a sqlite database once more as the SQL that would make it."""
    for file in sorted(folder.resolve().rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            yield file, content
            if content.startswith(b"SQLite format 3\0"):  # a long value lies in it in pieces
                with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
                    yield file, "\n".join(connection.iterdump()).encode()
