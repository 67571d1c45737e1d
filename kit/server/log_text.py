"""The text of a log, whatever saved it: bytes → numbered lines without colours.

    >>> with open_log("server.log") as lines:
    ...     first = next(lines)

UTF-8 and UTF-16 with or without a byte-order mark, gzip, Docker's and journald's
JSON lines, progress bars that end their lines with a return alone, and web pages
whose text is the log. Nothing is held but one megabyte at a time.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from kit.errors import InvalidValue
from kit.text_file import GZIP, encoding, refuse_no_text, unzipped

_PIECE = 1 << 20
_LONGEST = 16_384  # characters of one line; more of it tells nothing
_ANSI = re.compile(r"(?:\x1b|\^\[)(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\_])")
_PAGE = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|head|body|pre|div)\b", re.I)
_MESSAGE_KEYS = ("log", "MESSAGE", "message", "msg", "textPayload")


class Line(NamedTuple):
    """One line of a log. `number` counts as an editor does; a progress bar's redraws share one."""

    number: int
    text: str


@contextmanager
def open_log(name: str) -> Iterator[Iterator[Line]]:
    """The lines of the file `name`; `-` is standard input. Raises InvalidValue with a reason."""
    if name == "-":
        yield read(sys.stdin.buffer, "standard input")
        return
    if name.startswith(("http://", "https://")):
        raise InvalidValue(
            "a log is read from a file, not from an address",
            f"curl -sSL {name} | kit diagnose -",
        )
    try:
        with Path(name).open("rb") as stream:
            yield read(stream, name)
    except OSError as error:
        raise InvalidValue(
            f"{name} cannot be read: {error.strerror}", "kit diagnose LOG, or - for standard input"
        ) from None


def read(stream: BinaryIO, name: str) -> Iterator[Line]:
    """The lines of the bytes in `stream`. Raises InvalidValue where they are no text, or nothing.

    `name` is what the error calls it.
    """
    head = stream.read(_PIECE)
    pieces: Iterator[bytes] = chain([head], iter(lambda: stream.read(_PIECE), b""))
    if head.startswith(GZIP):
        pieces = unzipped(pieces, name)
        head = next(pieces, b"")
        pieces = chain([head], pieces)
    refuse_no_text(head, name)
    if not head.strip():
        raise InvalidValue(f"{name} is empty", "a server prints its log on standard error: 2>&1")
    return numbered(_page_text(_decoded(pieces, head)))


def numbered(pieces: Iterable[str]) -> Iterator[Line]:
    """The lines of a text that comes in pieces of any size, colours taken out."""
    number, rest = 1, ""
    for piece in pieces:
        rest += _plain(piece)
        *whole, rest = rest.split("\n")
        for line in whole:
            yield from _redraws(number, line)
            number += 1
        if len(rest) > _PIECE:
            yield from _redraws(number, rest)
            rest = ""
    yield from _redraws(number, rest)


def _plain(piece: str) -> str:
    if "\0" in piece:
        piece = piece.replace("\0", "")
    return _ANSI.sub("", piece) if "\x1b" in piece or "^[" in piece else piece


def _redraws(number: int, line: str) -> Iterator[Line]:
    for part in line.split("\r"):
        text = part[:_LONGEST].rstrip()
        if text.startswith('{"'):
            text = _message(text)
        if text:
            yield Line(number, text)


def _message(line: str) -> str:
    """What a collector's JSON line carries; the line itself where it is another's."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    found = (fields[key] for key in _MESSAGE_KEYS if isinstance(fields.get(key), str))
    return _plain(next(found, line)).rstrip()


def _decoded(pieces: Iterable[bytes], head: bytes) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding(head[:4096]))("replace")
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def _page_text(pieces: Iterable[str]) -> Iterator[str]:
    """The text of a web page, tags taken out; other text as it is."""
    pieces = iter(pieces)
    first = next(pieces, "")
    if not _PAGE.match(first):
        yield first
        yield from pieces
        return
    page = _Page()
    for piece in chain([first], pieces):
        page.feed(piece)
        yield page.taken()
    page.close()
    yield page.taken()


class _Page(HTMLParser):
    """Collects what a reader of the page would see, a block of it a line."""

    _UNSEEN = frozenset({"script", "style", "svg", "template"})
    _BLOCKS = frozenset(
        {"article", "br", "dd", "div", "dt", "h1", "h2", "h3", "li", "p", "pre", "section", "tr"}
    )

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._UNSEEN:
            self._unseen += 1
        elif tag in self._BLOCKS:
            self._parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in self._BLOCKS:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._parts.append(data)

    def taken(self) -> str:
        text, self._parts = "".join(self._parts), []
        return text
