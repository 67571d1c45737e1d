"""Which of the course's drawings a picture is: the twin has authored replies about those."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from kit.course.drawings.canvas import Drawing
from kit.course.drawings.clip import SIZE as CLIP_SIZE
from kit.course.drawings.clip import clip
from kit.course.drawings.stills import (
    CHART_SIZE,
    GEOMETRY_SIZE,
    LETTER_SIZE,
    RECEIPT_SIZE,
    chart,
    geometry,
    letter,
    receipt,
)
from kit.models.image_tokens import TOKEN_SIDE
from kit.vision.file_picture import has_pillow

if TYPE_CHECKING:
    from PIL import Image

CLIP = "clip"
# name → size, and the function that draws it
_MAKERS: dict[str, tuple[tuple[int, int], Callable[[], Drawing]]] = {
    "geometry": (GEOMETRY_SIZE, geometry),
    "geometry-3": (GEOMETRY_SIZE, lambda: geometry(circles=3)),
    "chart": (CHART_SIZE, chart),
    "receipt": (RECEIPT_SIZE, receipt),
    "letter": (LETTER_SIZE, letter),
}


def names() -> tuple[str, ...]:
    """The names of the drawings with their default arguments."""
    return (*_MAKERS, CLIP)


def recognise(picture: Image.Image, data: bytes = b"") -> str | None:
    """The name of the drawing that this RGB picture is, pixel for pixel; None for any other.

    Recognised too: a drawing shrunk as `kit.vision.image(…, max_pixels=…)` shrinks it, and a frame
    of the clip by its bytes.
    """
    if picture.size == CLIP_SIZE and data in _frames():
        return CLIP
    for name, (size, _) in _MAKERS.items():
        if not _may_be(picture.size, size):
            continue
        if picture.size != size and not has_pillow():
            continue
        drawn = _drawn(name)
        if drawn.size != picture.size:
            from PIL import Image

            drawn = drawn.resize(picture.size, Image.Resampling.LANCZOS)
        if drawn.tobytes() == picture.tobytes():
            return name
    return None


@cache
def _drawn(name: str) -> Image.Image:
    _, make = _MAKERS[name]
    return make().picture


@cache
def _frames() -> frozenset[bytes]:
    return frozenset(clip().film.jpegs)


def _may_be(size: tuple[int, int], drawn: tuple[int, int]) -> bool:
    """Whether a drawing has this size, or can have got it by a cap on its pixels: both sides
    shrunk alike, then moved to a multiple of 32."""
    if size == drawn:
        return True
    if any(now % TOKEN_SIDE or now > was for now, was in zip(size, drawn, strict=True)):
        return False
    least = max(was / (now + TOKEN_SIDE) for now, was in zip(size, drawn, strict=True))
    most = min(was / max(now - TOKEN_SIDE, 1) for now, was in zip(size, drawn, strict=True))
    return least < most
