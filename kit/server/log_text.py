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
from html import unescape
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from kit.errors import InvalidValue
from kit.text_file import GZIP, encoding, refuse_no_text, unzipped

_PIECE = 1 << 20
_LONGEST = 16_384  # characters of one line, for what reads it as JSON
_SHOWN = 3_072, 1_024  # what patterns see of a longer line: its beginning and its end
_ANSI = re.compile(
    r"(?:\x1b|\^\[)(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b\n^]{0,256}(?:\x07|\x1b\\)|[@-Z\\_])"
)
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
            "a log is read from a file, not from an address", f"curl -sSL {name} | kit diagnose -"
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


def seen(line: str) -> str:
    """What patterns are to see of a line: all of it, or the two ends of a long one.

    So the time that a line takes is bounded, whatever it holds and whatever the pattern.
    """
    first, last = _SHOWN
    return line if len(line) <= first + last else f"{line[:first]} … {line[-last:]}"


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
        text = (
            part.strip("\r") if len(part) <= _LONGEST else f"{part[:_LONGEST]}{part[-_SHOWN[1] :]}"
        )
        if text.startswith('{"'):
            text = _message(text)
        if text := seen(text.rstrip()):
            yield Line(number, text)


def _message(line: str) -> str:
    """What a collector's JSON line carries; the line itself where it is another's."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return line
    found = (fields[key] for key in _MESSAGE_KEYS if isinstance(fields.get(key), str))
    return _plain(next(found, line)).rstrip()


def _decoded(pieces: Iterable[bytes], head: bytes) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding(head[:4096]))("replace")
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def _page_text(pieces: Iterable[str]) -> Iterator[str]:
    """The text of a web page, tags taken out; other text as it is.

    A page is held whole; of one larger than any that a browser shows the rest is left out.
    """
    pieces = iter(pieces)
    first = next(pieces, "")
    if not _PAGE.match(first):
        yield first
        yield from pieces
        return
    page = "".join([first, *islice(pieces, _PAGE_PIECES)])
    yield unescape("".join(_shown(page)))


def _shown(page: str) -> Iterator[str]:
    """What a reader of the page would see, a block of it a line.

    Python's own parser takes time by the square of a page whose tags do not end.
    """
    first, *rest = page.split("<")
    until = ""  # what ends a part that is not shown
    yield first
    for piece in rest:
        tag, closed, text = piece.partition(">")
        name = _TAG_NAME.match(tag)
        if until == _COMMENT_END or (not until and piece.startswith("!--")):
            _, closed, text = piece.partition(_COMMENT_END)
            until = "" if closed else _COMMENT_END
            yield text
        elif until:
            if name and name[0].lower() == until:
                until = ""
                yield text
        elif not name or not closed:
            yield f"<{piece}"
        elif name[0].lower() in _UNSEEN:
            until = f"/{name[0].lower()}"
        else:
            yield "\n" if name[0].lower().lstrip("/") in _BLOCKS else ""
            yield text


_PAGE_PIECES = 64  # of a megabyte
_COMMENT_END = "-->"
_TAG_NAME = re.compile(r"/?[A-Za-z][A-Za-z0-9]*|[!?/]")
_UNSEEN = frozenset({"script", "style", "svg", "template"})
_BLOCKS = frozenset(
    {"article", "br", "dd", "div", "dt", "h1", "h2", "h3", "li", "p", "pre", "section", "tr"}
)
