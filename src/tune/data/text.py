"""Text out of files: UTF-8 alone, and a complaint that names the line where a file is something else."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tune.errors import DataError

MAX_ROW = 2**20
"""Longest row that is read, in bytes; a longer one is a broken file, or no example that a model of any size holds."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WIDE = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line with its end) one at a time; a byte order mark of UTF-8 is left out.

    Only a line feed ends a line: JSON allows the other ends that Unicode knows (U+2028, U+0085) inside a text.

    Raises:
        DataError: The file cannot be read or is not UTF-8, or a line is longer than MAX_ROW.
    """
    try:
        with file.open("rb") as stream:
            yield from _lines(file, stream)
    except OSError as error:
        raise unreadable(file, error) from error


def whole_text(file: Path) -> str:
    """Return the text of a file, without a byte order mark.

    Raises:
        DataError: The file cannot be read or is not UTF-8.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise unreadable(file, error) from error
    _refuse_wide(file, content[:4])
    return _decoded(file, content, line=1, offset=0).removeprefix("\ufeff")


def opening_bytes(file: Path) -> bytes:
    """Return what a file begins with (at most 4 KiB), without byte order mark and white space.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return stream.read(4096).removeprefix(_BYTE_ORDER_MARK).lstrip()
    except OSError as error:
        raise unreadable(file, error) from error


def unreadable(file: Path, error: OSError) -> DataError:
    """Return what to say about a file that the system does not hand out."""
    why = error.strerror or str(error)
    return DataError(f"{file} cannot be read: {why}. Make it readable for this user, or give another file.")


def empty(file: Path) -> DataError:
    """Return what to say about a file without a row."""
    return DataError(f"{file} is empty: it needs at least one row. Fill or remove it, or give another data.path.")


def too_long(file: Path, line: int, size: int) -> DataError:
    """Return what to say about a row of more than MAX_ROW bytes, which starts on a line and has this size."""
    allowed = f"a row may have at most {MAX_ROW:,} (1 MiB)"
    return DataError(f"{file} line {line} is {size:,} bytes long; {allowed}. Split or remove the row.")


def _lines(file: Path, stream: BinaryIO) -> Iterator[tuple[int, str]]:
    number, offset = 0, 0
    while content := stream.readline(MAX_ROW + 1):
        number += 1
        if number == 1:
            _refuse_wide(file, content[:4])
        if len(content) > MAX_ROW and not content.endswith(b"\n"):
            raise too_long(file, number, len(content) + _rest_of_line(stream))
        text = _decoded(file, content, line=number, offset=offset)
        yield number, text.removeprefix("\ufeff") if number == 1 else text
        offset += len(content)


def _rest_of_line(stream: BinaryIO) -> int:
    """Return the length of what is left of a line, which may be too large to hold."""
    size = 0
    while content := stream.readline(MAX_ROW):
        size += len(content)
        if content.endswith(b"\n"):
            break
    return size


def _decoded(file: Path, content: bytes, *, line: int, offset: int) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line += content.count(b"\n", 0, error.start)
        msg = (
            f"{file} line {line} is not UTF-8: byte 0x{content[error.start]:02x} at offset {offset + error.start} of "
            "the file. Convert the file, for example with iconv -f WINDOWS-1252 -t UTF-8, or mend the line."
        )
        raise DataError(msg) from error


def _refuse_wide(file: Path, head: bytes) -> None:
    name = next((name for mark, name in _WIDE.items() if head.startswith(mark)), None)
    if name is None and len(head) > 1 and (head[0] == 0) != (head[1] == 0):
        name = "UTF-16"  # without a mark: every second byte of plain English is zero
    if name:
        msg = f"{file} is {name}, not UTF-8. Convert it, for example with iconv -f {name} -t UTF-8."
        raise DataError(msg)
