"""Text files: those that people save, read; and ours, written so that nothing is ever half there.

    read_text(Path("run.json"), "give the file that the benchmark wrote")
    write_text(Path("page.md"), text)           # all of it, or the old file as it was
    append_line(Path("run.jsonl"), line)        # the line, or the file as it was

Read are UTF-8, UTF-16 and UTF-32 with or without a byte-order mark (Windows PowerShell's `>`
writes UTF-16), and gzip. What is no text is refused with what it is.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kit.errors import InvalidValue, KitError

MOST_BYTES = 1 << 30
NOT_TEXT = {
    b"PK\x03\x04": "a ZIP archive: unpack it first",
    b"BZh": "compressed by bzip2: unpack it first",
    b"\xfd7zXZ": "compressed by xz: unpack it first",
    b"(\xb5/\xfd": "compressed by zstd: unpack it first",
    b"\x89PNG": "a picture: copy the text into a file",
    b"\xff\xd8\xff": "a picture: copy the text into a file",
    b"%PDF": "a PDF: copy the text into a file",
    b"\x7fELF": "a program",
    b"SQLite format 3": "a database",
}
GZIP = b"\x1f\x8b"
_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNZIPPED = 1 << 20  # bytes at a time
_BETWEEN = re.compile(r"[\s\ufeff]*")  # some editors mark each line that they append


def read_text(path: Path, hint: str, most_bytes: int = MOST_BYTES) -> str:
    """The text of a file. Raises KitError where it cannot be read, InvalidValue for no text and
    for more than `most_bytes`.

    `hint` says what to give instead.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(most_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise KitError(f"{path}: {getattr(error, 'strerror', None) or error}", hint) from error
    if len(data) > most_bytes:
        raise InvalidValue(f"{path} is larger than {most_bytes >> 20} MiB", hint)
    return text_of(data, str(path), hint)


def write_text(path: Path, text: str) -> None:
    """Write a whole file, in UTF-8: when it fails, the file is what it was before.

    Raises KitError with what was not written. A pipe or a device is written to as it is.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))  # a lone surrogate has no UTF-8


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file, as `write_text` does."""
    try:
        path = path.resolve()  # a link stays a link
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        beside = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
        try:
            beside.write_bytes(data)
            if path.exists():
                beside.chmod(path.stat().st_mode)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise _not_written(path, error) from error


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, in one write: when it fails, the file is what it was before.

    It goes onto a line of its own, behind the torn one that another program left. Raises KitError
    with what was not written.
    """
    data = line.encode("utf-8", "backslashreplace") + b"\n"
    try:
        with path.open("ab", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size if path.is_file() else 0
            if size and not _ends_a_line(path):
                data = b"\n" + data
            written = 0
            try:
                while written < len(data):
                    written += stream.write(data[written:])
            except BaseException:
                if path.is_file():
                    stream.truncate(size)
                raise
    except OSError as error:
        raise _not_written(path, error) from error


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _not_written(path: Path, error: OSError) -> KitError:
    return KitError(
        f"{path} was not written: {error.strerror or error}",
        "make room on its disk, or give another place",
    )


def text_of(data: bytes, name: str, hint: str) -> str:
    """The text in `data`, without a mark. Raises InvalidValue for no text; `name` is for that."""
    if data.startswith(GZIP):
        data = _most(unzipped([data], name), name)
    refuse_no_text(data, name)
    data = data.rstrip(b"\0") or data[:1]  # what a full disk or a power cut leaves
    known = encoding(data[:4096])
    if known.startswith(("utf-16", "utf-32")):
        data += b"\0" * (-len(data) % (4 if known == "utf-32" else 2))
    text = data.decode(known, "replace")
    if not text.strip():
        raise InvalidValue(f"{name} is empty", hint)
    if "\0" in text:
        raise InvalidValue(
            f"{name} is in two encodings, one after the other: UTF-8, and UTF-16 or none at all",
            "Windows PowerShell's >> appends UTF-16: write each run into a file of its own",
        )
    return text


def refuse_no_text(head: bytes, name: str) -> None:
    """Raises InvalidValue for the beginning of a file that is known to be no text."""
    for magic, what in NOT_TEXT.items():
        if head.startswith(magic):
            raise InvalidValue(f"{name} is not text", f"it is {what}")


def encoding(head: bytes) -> str:
    """By the byte-order mark; without one, by where the NUL bytes of ASCII in UTF-16 stand."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    head = head.rstrip(b"\0") if len(head) < 4096 else head
    for name, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        half = head[first::2]
        if half[:1] == b"\0" and half.count(0) > 0.4 * len(half):
            return name
    return "utf-8"


def unzipped(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """What gzip compressed, member after member. Raises InvalidValue where it is broken."""
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for piece in pieces:
            while piece:  # a megabyte may hold a gigabyte
                yield unzip.decompress(piece, _UNZIPPED)
                piece = unzip.unconsumed_tail
                if unzip.eof and unzip.unused_data:  # logrotate appends members
                    piece, unzip = unzip.unused_data, zlib.decompressobj(zlib.MAX_WBITS | 16)
    except zlib.error as error:
        raise InvalidValue(f"{name} is broken gzip: {error}", "copy it once more") from None


def json_values(text: str, name: str, hint: str) -> Iterator[Any]:
    """The JSON values of a text, one after the other, on lines of their own or not.

    A line whose end is missing, because its writer was stopped or its disk full, is left out, and
    a warning says so. Raises InvalidValue with the line where a value is no JSON, or none is whole.
    """
    decoder, at, torn, some = json.JSONDecoder(), 0, "", False
    while (at := _after_space(text, at)) < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            torn = f"{name} is not JSON: line {error.lineno}, {error.msg}"
            if not (end := _end_of_torn_line(text, at, error)):
                raise InvalidValue(torn, hint) from None
            at = end
        except (ValueError, RecursionError) as error:  # a number or a nesting without end
            line = text.count("\n", 0, at) + 1
            what = "a number" if isinstance(error, ValueError) else "brackets in brackets"
            raise InvalidValue(f"{name}: line {line} has {what} that nobody wrote", hint) from None
        else:
            some = True
            yield value
    if torn and not some:
        raise InvalidValue(torn, hint)
    if torn:
        warnings.warn(f"{torn}: a torn line, left out", stacklevel=3)


_LITERAL = 6  # characters of "false", and one more


def _end_of_torn_line(text: str, at: int, error: json.JSONDecodeError) -> int:
    """Where the line that begins at `at` ends, if that is where its JSON breaks off; else 0."""
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    breaks_off = error.pos >= end - _LITERAL or error.msg.startswith("Unterminated string")
    return end if breaks_off and text[at] in "{[" else 0


def _after_space(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _most(pieces: Iterable[bytes], name: str) -> bytes:
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > MOST_BYTES:
            raise InvalidValue(f"{name} unpacks to more than {MOST_BYTES >> 30} GiB", "shorten it")
    return bytes(data)
