"""What the drawings share: a palette that survives colour blindness, letters, a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from kit.vision.image_part import data_url

if TYPE_CHECKING:
    from PIL import Image, ImageFont

INK = "#1f2933"
QUIET = "#52606d"
GRID = "#d9e0e6"
PAPER = "#ffffff"
BLUE = "#0072b2"  # Okabe and Ito's
ORANGE = "#e69f00"
SHARPER = 3  # drawn that much larger, then shrunk: Pillow's lines have no soft edges


@dataclass(frozen=True)
class Drawing:
    """A picture, what is in it (`data`, to check an answer by), and the same in words (`alt`)."""

    name: str
    picture: Image.Image = field(repr=False)
    data: Mapping[str, Any]
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        import io

        out = io.BytesIO()
        self.picture.save(out, "PNG")
        return shown(out.getvalue(), "image/png", self.alt)


def shown(data: bytes, media_type: str, alt: str) -> dict[str, str]:
    """A picture in a notebook, and its words for who cannot see it."""
    from html import escape

    html = f'<img src="{data_url(media_type, data)}" alt="{escape(alt)}" style="max-width:100%">'
    return {"text/html": html, "text/plain": alt}


class Page:
    """A white page to draw on. Places and sizes are in pixels of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self._size = (width, height)
        self._image = Image.new("RGB", (width * SHARPER, height * SHARPER), PAPER)
        self._pen = ImageDraw.Draw(self._image)

    def text(
        self, x: float, y: float, text: str, size: int, fill: str = INK, anchor: str = "la"
    ) -> None:
        """`anchor` is the point of the text at (x, y), as Pillow names it."""
        self._pen.text((x * SHARPER, y * SHARPER), text, fill, _letters(size), anchor)

    def line(self, *ends: float, width: int, fill: str = INK) -> None:
        self._pen.line(_large(ends), fill, width * SHARPER)

    def rectangle(
        self, *corners: float, fill: str | None = None, outline: str | None = None, width: int = 1
    ) -> None:
        self._pen.rectangle(_large(corners), fill, outline, width * SHARPER)

    def circle(
        self, x: float, y: float, radius: float, *, fill: str | None = None, width: int = 0
    ) -> None:
        """With an outline of `width`."""
        around = _large((x - radius, y - radius, x + radius, y + radius))
        self._pen.ellipse(around, fill, INK if width else None, width * SHARPER)

    def finished(self) -> Image.Image:
        from PIL import Image

        return self._image.resize(self._size, Image.Resampling.BOX)


@cache
def _letters(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow."""
    from PIL import ImageFont

    return ImageFont.load_default(size * SHARPER)


def _large(places: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(place * SHARPER for place in places)
