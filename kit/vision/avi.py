"""A video as a row of JPEG pictures in an AVI file (Motion JPEG): written, and read again.

Every decoder that a server may have (FFmpeg behind torchcodec or decord) reads it, no codec with
a patent or a copyleft is needed to write it, and each frame stands alone, so that Pillow can
open it. Layout: Microsoft's AVI RIFF file reference, 1992, with one stream and an index.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kit.errors import InvalidValue

_HAS_INDEX = 0x10
_KEY_FRAME = 0x10
_FRAME = b"00dc"  # stream 0, compressed video
_DEEPEST = 8  # lists within lists; a real file has three
_NO_AVI = "convert it: ffmpeg -i INPUT -an -c:v mjpeg -q:v 3 OUTPUT.avi"


@dataclass(frozen=True)
class Film:
    """`jpegs` are the frames as files, `fps` of them a second."""

    jpegs: tuple[bytes, ...]
    fps: float
    width: int
    height: int


def write(film: Film) -> bytes:
    """The film as a file."""
    count, size = len(film.jpegs), max(map(len, film.jpegs))
    scale = 1000
    rate = round(film.fps * scale)
    per_s = round(size * film.fps)
    main = struct.pack(
        "<14I",
        *(round(1e6 / film.fps), per_s, 0, _HAS_INDEX, count, 0, 1, size),
        *(film.width, film.height, 0, 0, 0, 0),
    )
    stream = struct.pack(
        "<4s4sI2H8I4H",
        *(b"vids", b"MJPG", 0, 0, 0, 0, scale, rate, 0, count, size),
        *(0xFFFFFFFF, 0, 0, 0, film.width, film.height),
    )
    picture = struct.pack(
        "<IiiHH4sIiiII",
        *(40, film.width, film.height, 1, 24, b"MJPG", film.width * film.height * 3, 0, 0, 0, 0),
    )
    header = _list(
        b"hdrl",
        _chunk(b"avih", main) + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", picture)),
    )
    frames, index, at = [], [], 4
    for jpeg in film.jpegs:
        frames.append(_chunk(_FRAME, jpeg))
        index.append(struct.pack("<4sIII", _FRAME, _KEY_FRAME, at, len(jpeg)))
        at += len(frames[-1])
    body = header + _list(b"movi", b"".join(frames)) + _chunk(b"idx1", b"".join(index))
    return _chunk(b"RIFF", b"AVI " + body)


def is_avi(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"AVI "


def read(data: bytes) -> Film:
    """The frames of a Motion JPEG file. Raises InvalidValue for another codec, or a broken file."""
    fps, width, height, jpegs = 0.0, 0, 0, []
    try:
        for name, body in _chunks(data, 12, len(data)):
            if name == b"strh" and body[:4] == b"vids":
                scale, rate = struct.unpack_from("<2I", body, 20)
                fps = rate / scale
            elif name == b"strf" and not width:
                width, height = struct.unpack_from("<ii", body, 4)
            elif name[2:] in (b"dc", b"db") and body:
                jpegs.append(body)
    except (struct.error, ZeroDivisionError) as problem:
        raise InvalidValue("an AVI file that is cut or broken", _NO_AVI) from problem
    if not jpegs or fps <= 0 or width < 1:
        raise InvalidValue("an AVI file without a picture in it", _NO_AVI)
    if any(not jpeg.startswith(b"\xff\xd8") for jpeg in jpegs):
        raise InvalidValue("an AVI file whose frames are not JPEG pictures", _NO_AVI)
    return Film(tuple(jpegs), fps, width, abs(height))


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _list(name: bytes, body: bytes) -> bytes:
    return _chunk(b"LIST", name + body)


def _chunks(data: bytes, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """(name, body) of every chunk between two places; of a list, those inside it."""
    at = start
    while at + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"LIST" and depth < _DEEPEST:
            yield from _chunks(data, at + 12, min(at + 8 + size, end), depth + 1)
        else:
            yield name, data[at + 8 : min(at + 8 + size, end)]
        at += 8 + size + size % 2
