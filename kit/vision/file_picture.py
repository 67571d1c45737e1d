"""A picture as the file that it is, for where there is no Pillow: its size, and its bytes.

It has what the course asks of a Pillow image that is neither turned nor made smaller. What needs
more says so.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import Any, BinaryIO, Self

from kit.errors import InvalidValue

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's markers that begin with a size
HINT = "on a computer of one's own: make lab; without an installation: Binder"


def has_pillow() -> bool:
    return find_spec("PIL") is not None


@dataclass(frozen=True)
class FilePicture:
    """A PNG or JPEG file. Raises InvalidValue for any other."""

    data: bytes = field(repr=False)
    mode: str = "RGB"

    def __post_init__(self) -> None:
        _ = self.size

    @property
    def format(self) -> str:
        return "PNG" if self.data.startswith(_PNG) else "JPEG"

    @cached_property
    def size(self) -> tuple[int, int]:
        try:
            if self.data.startswith(_PNG):
                width, height = struct.unpack_from(">II", self.data, 16)
            else:
                width, height = self._of_jpeg()
        except struct.error as problem:
            raise InvalidValue("a picture without a size: it is cut", "give it whole") from problem
        return int(width), int(height)

    @property
    def width(self) -> int:
        return self.size[0]

    @property
    def height(self) -> int:
        return self.size[1]

    def _of_jpeg(self) -> tuple[int, int]:
        if not self.data.startswith(_JPEG):
            raise InvalidValue("without Pillow only PNG and JPEG pictures are read", HINT)
        at = 2
        while True:
            _, marker, length = struct.unpack_from(">BBH", self.data, at)
            if marker in _SIZES:
                height, width = struct.unpack_from(">HH", self.data, at + 5)
                return width, height
            at += 2 + length

    def save(self, out: BinaryIO, kind: str, **_: Any) -> None:
        if kind != self.format:
            raise InvalidValue(f"writing a {self.format} picture as {kind} needs Pillow", HINT)
        out.write(self.data)

    def tobytes(self) -> bytes:
        """What tells it from another: the file itself."""
        return self.data

    def getexif(self) -> dict[int, Any]:
        return {}

    def load(self) -> None:
        """It is read already."""

    def convert(self, _: str) -> Self:
        return self

    def resize(self, *_: Any) -> Self:
        raise InvalidValue("making a picture smaller needs Pillow, which is not here", HINT)
