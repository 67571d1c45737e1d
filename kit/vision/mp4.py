"""How many frames an MP4 (or MOV) has, how fast and how large: read off its boxes, not decoded.

Layout: ISO/IEC 14496-12. A box is its length, a name of four letters, and what is in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_INSIDE = (b"moov", b"trak", b"mdia", b"minf", b"stbl")  # boxes that hold those that matter


@dataclass(frozen=True)
class Timing:
    """Frames, frames per second, and pixels as they are shown."""

    count: int
    fps: float
    width: int
    height: int


def is_mp4(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] not in (b"heic", b"mif1", b"avif")


def timing(data: bytes) -> Timing | None:
    """Of the first track of pictures; None where the file does not say it in one place, as a
    fragmented one does not."""
    try:
        for name, start, end in _boxes(data, 0, len(data)):
            if name == b"moov":
                return _of_movie(data, start, end)
    except (struct.error, ZeroDivisionError):
        return None
    return None


def _of_movie(data: bytes, start: int, end: int) -> Timing | None:
    for name, a, b in _boxes(data, start, end):
        if name != b"trak":
            continue
        held = dict(_within(data, a, b))
        handler = held.get(b"hdlr", len(data)) + 8  # what kind of track it is
        if data[handler : handler + 4] == b"vide":
            return _of_track(data, held)
    return None


def _of_track(data: bytes, held: dict[bytes, int]) -> Timing | None:
    """`held` are the places of the track's boxes, past their names."""
    if not {b"tkhd", b"mdhd", b"stts"} <= held.keys():
        return None
    scale = struct.unpack_from(">I", data, held[b"mdhd"] + (20 if data[held[b"mdhd"]] else 12))[0]
    (runs,) = struct.unpack_from(">I", data, held[b"stts"] + 4)
    at = held[b"stts"] + 8
    if at + 8 * runs > len(data):
        return None
    counts = [struct.unpack_from(">2I", data, at + 8 * i) for i in range(runs)]
    frames, units = sum(n for n, _ in counts), sum(n * each for n, each in counts)
    if not frames or not units:
        return None
    matrix = held[b"tkhd"] + (52 if data[held[b"tkhd"]] else 40)
    across, up, width, height = (
        struct.unpack_from(">i", data, matrix + offset)[0] for offset in (0, 4, 36, 40)
    )
    if up and not across:  # held upright: turned by a quarter when it is shown
        width, height = height, width
    return Timing(frames, frames * scale / units, width >> 16, height >> 16)


def _within(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """(name, place of what is in it) of every box of a track."""
    for name, a, b in _boxes(data, start, end):
        if name in _INSIDE:
            yield from _within(data, a, b)
        else:
            yield name, a


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of the boxes that stand beside each other between two places."""
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        stop = end if size == 0 else start + size
        if (size and size < head) or stop > end:
            return
        yield name, start + head, stop
        start = stop
