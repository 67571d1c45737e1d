"""Pictures to ask about, drawn by the kit, so that every answer can be checked.

drawing = drawings.chart()
drawing            # the picture
drawing.data       # what is in it

geometry(circles=4)   a square and circles on its corners, after the cookbook's example
chart(values)         a bar chart; its values stand in no label, they have to be read
receipt()             a café's bill whose sum can be checked
letter()              a page of text
clip()                a short film, and something happens in it
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from kit.vision.drawings._chart import chart
from kit.vision.drawings._clip import Clip, clip
from kit.vision.drawings._geometry import geometry
from kit.vision.drawings._paper import letter, receipt
from kit.vision.drawings._pen import Drawing

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Clip", "Drawing", "chart", "clip", "geometry", "letter", "receipt", "recognise"]

CLIP = "clip"
_MAKERS = {
    "geometry": geometry,
    "geometry-3": lambda: geometry(circles=3),
    "chart": chart,
    "receipt": receipt,
    "letter": letter,
}


def names() -> tuple[str, ...]:
    """What the drawings are called as they come without a wish."""
    return (*_MAKERS, CLIP)


def recognise(picture: Image.Image, data: bytes = b"") -> str | None:
    """The name of the drawing that this RGB picture is, pixel for pixel; None for any other.

    A drawing is also known shrunk as `kit.vision.image(…, max_pixels=…)` shrinks it, and a frame
    of the clip by its bytes.
    """
    from PIL import Image

    if data in _frames():
        return CLIP
    for name, drawn in _drawn().items():
        same = drawn
        if drawn.size != picture.size:
            if not _alike(drawn.size, picture.size):
                continue
            same = drawn.resize(picture.size, Image.Resampling.LANCZOS)
        if same.tobytes() == picture.tobytes():
            return name
    return None


@cache
def _drawn() -> dict[str, Image.Image]:
    return {name: make().picture for name, make in _MAKERS.items()}


@cache
def _frames() -> frozenset[bytes]:
    return frozenset(clip().film.jpegs)


def _alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether one may be the other, shrunk to multiples of 32."""
    return b[0] <= a[0] and b[1] <= a[1] and abs(a[0] / a[1] - b[0] / b[1]) < 0.25 * a[0] / a[1]
