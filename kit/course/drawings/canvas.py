"""What the drawings share: a palette that survives colour blindness, letters, a page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from kit import load_data
from kit.errors import InvalidValue
from kit.vision.file_picture import HINT, FilePicture, has_pillow
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
    """A white page to draw on. Places and sizes are in pixels of the finished picture.

    Without Pillow nothing is drawn: the course's own pictures are there as files
    (`kit/data/drawings`), each under the digest of what was to be drawn.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._drawn: list[Any] = [self._size]
        if not has_pillow():
            return
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (width * SHARPER, height * SHARPER), PAPER)
        self._pen = ImageDraw.Draw(self._image)

    def text(
        self, x: float, y: float, text: str, size: int, fill: str = INK, anchor: str = "la"
    ) -> None:
        """`anchor` is the point of the text at (x, y), as Pillow names it."""
        place = (x * SHARPER, y * SHARPER)
        self._draw("text", place, text, fill, size, anchor)

    def line(self, *ends: float, width: int, fill: str = INK) -> None:
        self._draw("line", _large(ends), fill, width * SHARPER)

    def rectangle(
        self, *corners: float, fill: str | None = None, outline: str | None = None, width: int = 1
    ) -> None:
        self._draw("rectangle", _large(corners), fill, outline, width * SHARPER)

    def circle(
        self, x: float, y: float, radius: float, *, fill: str | None = None, width: int = 0
    ) -> None:
        """With an outline of `width`."""
        around = _large((x - radius, y - radius, x + radius, y + radius))
        self._draw("ellipse", around, fill, INK if width else None, width * SHARPER)

    def _draw(self, what: str, *how: Any) -> None:
        self._drawn.append((what, *how))
        if has_pillow():
            if what == "text":
                place, text, fill, size, anchor = how
                how = (place, text, fill, _letters(size), anchor)
            getattr(self._pen, what)(*how)

    @property
    def digest(self) -> str:
        """Of what is drawn: the name of its file."""
        exact = json.dumps(self._drawn, sort_keys=True)
        return hashlib.sha256(exact.encode()).hexdigest()[:16]

    def finished(self) -> Image.Image:
        """Raises InvalidValue without Pillow, but for the pictures that are there as files."""
        if not has_pillow():
            return cast("Image.Image", _file(self.digest))
        from PIL import Image

        return self._image.resize(self._size, Image.Resampling.BOX)


def _file(digest: str) -> FilePicture:
    for ending in ("png", "jpg"):
        file = load_data.path(f"drawings/{digest}.{ending}")
        if file.is_file():
            return FilePicture(file.read_bytes())
    raise InvalidValue("drawing another picture than the lessons' own needs Pillow", HINT)


@cache
def _letters(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow."""
    from PIL import ImageFont

    return ImageFont.load_default(size * SHARPER)


def _large(places: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(place * SHARPER for place in places)
