"""Files that people save, as text: whatever the encoding, compressed or not; else by their names.

    read_text(Path("run.json"), "give the file that the benchmark wrote")

UTF-8, UTF-16 and UTF-32 with or without a byte-order mark (Windows PowerShell's `>` writes
UTF-16), and gzip. What is no text is refused with what it is.
"""

from __future__ import annotations

import codecs
import json
import re
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
_BETWEEN = re.compile(r"[\s\ufeff]*")  # some editors mark each line that they append


def read_text(path: Path, hint: str) -> str:
    """The text of a file. Raises KitError where it cannot be read, InvalidValue for no text.

    `hint` says what to give instead.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise KitError(f"{path}: {error.strerror or error}", hint) from error
    return text_of(data, str(path), hint)


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
            yield unzip.decompress(piece)
            while unzip.eof and unzip.unused_data:  # logrotate appends members
                rest, unzip = unzip.unused_data, zlib.decompressobj(zlib.MAX_WBITS | 16)
                yield unzip.decompress(rest)
    except zlib.error as error:
        raise InvalidValue(f"{name} is broken gzip: {error}", "copy it once more") from None


def json_values(text: str, name: str, hint: str) -> Iterator[Any]:
    """The JSON values of a text, one after the other, on lines of their own or not.

    Raises InvalidValue with the line where one is not whole.
    """
    decoder, at = json.JSONDecoder(), 0
    while (at := _after_space(text, at)) < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise InvalidValue(
                f"{name} is not JSON: line {error.lineno}, {error.msg}", hint
            ) from None
        yield value


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
