"""What images and videos of a request cost the others: next to nothing."""

from __future__ import annotations

import base64
import io
import struct
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from kit.twin.process import TwinProcess

from .twin_client import CHAT, HI, picture, ping_s, send


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    """A PNG of one bit per pixel, of which only some rows are there."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(min(width * height // 8, 10**6)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(kind: str, side: int, mode: str = "1", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (side, side)).save(out, kind, **options)
    return out.getvalue()


def shown(data: bytes, times: int = 1) -> dict[str, Any]:
    part = picture("data:image/x;base64," + base64.b64encode(data).decode())["messages"][0]
    return {**HI, "messages": [{"role": "user", "content": part["content"] * times}]}


def scans(count: int) -> bytes:
    """A progressive JPEG that refines the same thing again and again."""
    data = encoded("JPEG", 2000, "L", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * count + data[-2:]


def with_texts() -> bytes:
    """Six texts of 20 MB each, compressed, beside a small picture."""
    return png(64, 64, *[chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(20_000_000)))] * 6)


def tiff(side: int) -> bytes:
    return encoded("TIFF", side, compression="group4")


BOMBS: dict[str, tuple[Callable[[], Any], int]] = {
    "30,000 × 30,000": (lambda: shown(png(30_000, 30_000)), 400),
    "2 billion × 1": (lambda: shown(png(2**31 - 1, 1)), 400),
    "rows that are missing": (lambda: shown(png(9000, 9000)), 400),
    "six texts of 20 MB": (lambda: shown(with_texts()), 400),
    "a GIF of 36 million pixels": (lambda: shown(encoded("GIF", 6000, "P")), 200),
    "a TIFF of 36 million": (lambda: shown(tiff(6000)), 200),
    "a hundred of them": (lambda: shown(tiff(6000), 100), 400),
    "300 scans": (lambda: shown(scans(300)), 400),
    "10,000 that are none": (lambda: shown(b"", 10_000), 400),
    "3,000 that are none": (lambda: shown(b"", 3000), 400),
    "SVG": (lambda: shown(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), 400),
    "a video of nothing": (lambda: picture("data:video/avi;base64,UklGRgAAAAA=", "video_url"), 400),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_others_nothing(twin: TwinProcess, name: str) -> None:
    made, status = BOMBS[name]
    content = made()
    got: list[tuple[int, bytes]] = []
    thread = threading.Thread(target=lambda: got.append(send(twin, CHAT, content)))
    began_s = time.monotonic()
    thread.start()
    pings = [ping_s(twin)]
    while thread.is_alive():
        time.sleep(0.02)
        pings.append(ping_s(twin))
    assert got[0][0] == status, got[0][1][:300]
    assert max(pings) < 1
    assert time.monotonic() - began_s < 15
    assert twin.alive
